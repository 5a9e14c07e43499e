// Folds the low-rank change into a stored weight: W[i] ← weight_scale · W[i] + scale · (U[i] · S) · Vᵀ, f32 arithmetic.
//
// One part of W: [part_rows, 4·width_quads] in STORAGE, its first row being row `row_start` of the whole; U, V, S as in embed.wgsl.
// 16-bit storage is rounded stochastically, its random bits from (seed, tensor, period, element), so that a replay folds to the same bits.

struct Parameters {
  width_quads: u32,
  row_start: u32,
  part_rows: u32,
  rank: u32,
  rank_quads: u32,
  v_start: u32,
  state_offset: u32,
  scale: f32,
  weight_scale: f32,
  seed_low: u32,
  seed_high: u32,
  tensor: u32,
  period: u32,
}

@group(0) @binding(0) var<storage, read> u: array<f32>;
@group(0) @binding(1) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> weight: array<WeightWord>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

var<workgroup> coefficients: array<f32, 256>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let local_row = group.y * groups.x + group.x;
  let inside = local_row < parameters.part_rows;
  let row = parameters.row_start + local_row;
  if (inside) {
    for (var b = lane; b < parameters.rank; b += 64u) {
      var sum = 0.0;
      for (var a = 0u; a < parameters.rank; a++) {
        sum = fma(u[row * parameters.rank_quads * 4u + a], state[parameters.state_offset + a * parameters.rank + b], sum);
      }
      coefficients[b] = parameters.scale * sum;
    }
  }
  workgroupBarrier();
  if (!inside) {
    return;
  }
  for (var quad = lane; quad < parameters.width_quads; quad += 64u) {
    let index = local_row * parameters.width_quads + quad;
    var value = parameters.weight_scale * widen(weight[index]);
    for (var b = 0u; b < parameters.rank; b++) {
      value = fma(vec4<f32>(coefficients[b]), v[parameters.v_start + b * parameters.width_quads + quad], value);
    }
    let counter = vec4<u32>(row * parameters.width_quads + quad, parameters.tensor, parameters.period, PURPOSE_ROUNDING << 24u);
    weight[index] = narrow(value, philox(counter, vec2<u32>(parameters.seed_low, parameters.seed_high)));
  }
}
