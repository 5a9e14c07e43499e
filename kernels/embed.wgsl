// Embedding: y[i] = weight_scale · W[id_i] + scale · (U[id_i] · S_p) · Vᵀ, for row i of probe p = i / rows_per_probe.
//
// W: one part of the table, [part_rows, 4·width_quads] in STORAGE, which holds the ids row_start … row_start +
// part_rows − 1. Rows with other ids are left to the launches of the other parts. U: [·, 4·rank_quads]; V, stored
// transposed: [rank, 4·width_quads], from quad v_start on; S_p as in zo/rotate.wgsl. rank = 0 leaves out the low-rank
// term. Columns of U from the next whole quad on and the rows of V below it are a bank (src/ops/probes.ts), whose
// product is added, times bank_scale. U and V are stored as factors are (zo/factors-*.wgsl). The id of row i is ids[i
// mod input_rows]. ACCUMULATE adds to y (position embeddings). One workgroup per row: it first computes the
// coefficients U·S in workgroup memory, then the row itself, one quad per invocation.

struct Parameters {
  rows: u32,
  width_quads: u32,
  row_start: u32,
  part_rows: u32,
  rank: u32,
  rank_quads: u32,
  v_start: u32,
  rows_per_probe: u32,
  input_rows: u32,
  state_offset: u32,
  state_stride: u32,
  scale: f32,
  weight_scale: f32,
  bank_scale: f32,
}

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(2) var<storage, read> u: array<FactorWord>;
@group(0) @binding(3) var<storage, read> v: array<FactorWord>;
@group(0) @binding(4) var<storage, read> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

var<workgroup> coefficients: array<f32, 512>;

fn u_at(place: u32) -> f32 {
  return factor_quad(u[place / 4u])[place % 4u];
}

fn v_quad(b: u32, quad: u32) -> vec4<f32> {
  return factor_quad(v[parameters.v_start + b * parameters.width_quads + quad]);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  let inside = row < parameters.rows;
  let id = ids[select(0u, row % parameters.input_rows, inside)];
  let local_id = id - parameters.row_start;
  let mine = inside && id >= parameters.row_start && local_id < parameters.part_rows;
  let width = parameters.rank_quads * 4u;
  let bank_start = (parameters.rank + 3u) / 4u * 4u;
  if (mine) {
    let s = parameters.state_offset + (row / parameters.rows_per_probe) * parameters.state_stride;
    for (var b = lane; b < parameters.rank; b += 64u) {
      var sum = 0.0;
      for (var a = 0u; a < parameters.rank; a++) {
        sum = fma(u_at(id * width + a), state[s + a * parameters.rank + b], sum);
      }
      coefficients[b] = parameters.scale * sum;
    }
    for (var b = bank_start + lane; b < width; b += 64u) {
      coefficients[b] = parameters.bank_scale * u_at(id * width + b);
    }
  }
  workgroupBarrier();
  if (!mine) {
    return;
  }
  for (var quad = lane; quad < parameters.width_quads; quad += 64u) {
    var value = parameters.weight_scale * weight_quad(local_id * parameters.width_quads + quad);
    for (var b = 0u; b < parameters.rank; b++) {
      value = fma(vec4<f32>(coefficients[b]), v_quad(b, quad), value);
    }
    for (var b = bank_start; b < width; b++) {
      value = fma(vec4<f32>(coefficients[b]), v_quad(b, quad), value);
    }
    let index = row * parameters.width_quads + quad;
    if (ACCUMULATE) {
      value += y[index];
    }
    y[index] = value;
  }
}
