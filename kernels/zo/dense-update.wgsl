// The update of a densely perturbed weight, in place: W ← W − decay_rate · W − Σ_k coefficient_k · d_k, d being the direction
// (zo/direction.wgsl) at the W before the update. Weights that a mask leaves out do not decay either.
//
// Rows and log_curvature as in zo/dense-weight.wgsl, coefficients as in zo/update.wgsl. f32 arithmetic; 16-bit storage is rounded stochastically,
// its random bits from (seed, tensor, step, element), so that a replay gives the same bits.

struct Parameters {
  width_quads: u32,
  rows: u32,
  weight_row: u32,
  curvature_row: u32,
  output_row: u32,
  seed_low: u32,
  seed_high: u32,
  tensor: u32,
  step: u32,
  queries: u32,
  coefficient_offset: u32,
  decay_rate: f32,
  threshold: f32,
}

@group(0) @binding(0) var<storage, read_write> weight: array<WeightWord>;
@group(0) @binding(1) var<storage, read> log_curvature: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> coefficients: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.rows * parameters.width_quads) {
    return;
  }
  let place = parameters.weight_row * parameters.width_quads + index;
  let element = parameters.output_row * parameters.width_quads + index;
  let before = widen(weight[place]);
  let curvature = log_curvature[parameters.curvature_row * parameters.width_quads + index];
  let key = vec2<u32>(parameters.seed_low, parameters.seed_high);
  var decaying = before;
  if (DIRECTION == DIRECTION_MASKED) {
    decaying = direction(before, before, parameters.threshold, curvature);
  }
  var value = fma(vec4<f32>(-parameters.decay_rate), decaying, before);
  for (var query = 0u; query < parameters.queries; query++) {
    let counter = vec4<u32>(element, parameters.tensor, parameters.step, (PURPOSE_NOISE << 24u) | query);
    let along = direction(gaussian_quad(counter, key), before, parameters.threshold, curvature);
    value = fma(vec4<f32>(-coefficients[parameters.coefficient_offset + query]), along, value);
  }
  let rounding = vec4<u32>(element, parameters.tensor, parameters.step, PURPOSE_ROUNDING << 24u);
  weight[place] = narrow(value, philox(rounding, key));
}
