// Folds the low-rank change into a stored weight: W[i] ← weight_scale · W[i] + scale · (U[i] · S) · Vᵀ, f32 arithmetic.
//
// W: one part, [part_rows, 4·width_quads] in STORAGE, whose first row is row `row_start` of the whole weight; U, V, S
// as in embed.wgsl. A workgroup takes ROWS rows, which share what it reads of V. 16-bit storage is rounded
// stochastically, with random bits from (seed, tensor, period, element), so that a replay folds to the same bits.

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

// scale · U S; row i is at 256 · i, because no rank is higher than 256.
var<workgroup> coefficients: array<f32, 256u * ROWS>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * ROWS;
  let rows = min(ROWS, max(parameters.part_rows, first) - first);
  for (var item = lane; item < rows * parameters.rank; item += 64u) {
    let i = item / parameters.rank;
    let b = item % parameters.rank;
    let u_start = (parameters.row_start + first + i) * parameters.rank_quads * 4u;
    var sum = 0.0;
    for (var a = 0u; a < parameters.rank; a++) {
      sum = fma(u[u_start + a], state[parameters.state_offset + a * parameters.rank + b], sum);
    }
    coefficients[256u * i + b] = parameters.scale * sum;
  }
  workgroupBarrier();
  if (rows == 0u) {
    return;
  }
  for (var quad = lane; quad < parameters.width_quads; quad += 64u) {
    var values: array<vec4<f32>, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
      // Surplus rows repeat the last one and are not written.
      let row = min(first + i, parameters.part_rows - 1u);
      values[i] = parameters.weight_scale * weight_quad(row * parameters.width_quads + quad);
    }
    for (var b = 0u; b < parameters.rank; b++) {
      let direction = v[parameters.v_start + b * parameters.width_quads + quad];
      for (var i = 0u; i < ROWS; i++) {
        values[i] = fma(vec4<f32>(coefficients[256u * i + b]), direction, values[i]);
      }
    }
    for (var i = 0u; i < ROWS; i++) {
      if (i < rows) {
        let row = parameters.row_start + first + i;
        let counter = vec4<u32>(row * parameters.width_quads + quad, parameters.tensor, parameters.period,
          PURPOSE_ROUNDING << 24u);
        let bits = philox(counter, vec2<u32>(parameters.seed_low, parameters.seed_high));
        weight[(first + i) * parameters.width_quads + quad] = narrow(values[i], bits);
      }
    }
  }
}
