// The middle of the low-rank side product of experts (zo/rotate.wgsl): q[place, a] = scale · Σ_b t[place, b] · S[a, b],
// with the S of the place's expert and probe.
//
// order: [places], the pair row · count + i of each place; chosen: [rows, count], the expert of each pair. t, q:
// [places, 4·(rank quads + bank_quads)], of which the bank's columns are copied and those between rank and quads are
// zeros.
// S of an expert: rank × rank at offsets[expert] + probe · state_stride of the state; experts without a change, whose
// offset is NONE, yield zeros. One invocation per element.

struct Parameters {
  elements: u32,
  rank: u32,
  bank_quads: u32,
  count: u32,
  rows_per_probe: u32,
  state_stride: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read> chosen: array<u32>;
@group(0) @binding(2) var<storage, read> offsets: array<u32>;
@group(0) @binding(3) var<storage, read> state: array<f32>;
@group(0) @binding(4) var<storage, read> t: array<f32>;
@group(0) @binding(5) var<storage, read_write> q: array<f32>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

const NONE: u32 = 0xffffffffu;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.elements) {
    return;
  }
  let rank = parameters.rank;
  let padded = (rank + 3u) / 4u * 4u;
  let width = padded + 4u * parameters.bank_quads;
  let place = index / width;
  let a = index % width;
  let pair = order[place];
  let offset = offsets[chosen[pair]];
  var sum = 0.0;
  if (offset != NONE && a < rank) {
    let probe = pair / parameters.count / parameters.rows_per_probe;
    let s = offset + probe * parameters.state_stride + a * rank;
    for (var b = 0u; b < rank; b++) {
      sum = fma(t[place * width + b], state[s + b], sum);
    }
    sum *= parameters.scale;
  }
  if (offset != NONE && a >= padded) {
    sum = t[index];
  }
  q[index] = sum;
}
