// The update of a densely perturbed weight by Adam or by momentum, in place: g = Σ_k coefficient_k · z_k; m ← β₁m + (1 − β₁)g;
// v ← β₂v + (1 − β₂)g²; W ← W − decay_rate · W − learning_rate · heading(m, v), see zo/moments.wgsl.
//
// weight: stored elements (weights/*.wgsl); the launch takes `quads` of them from weight_start on, which begin at quad element_start of the whole
// tensor. mean, square: m and v of the same elements, f32, from moment_start on; square is unused unless ADAPTIVE. coefficients[coefficient_offset
// + k] = ρ_k / K. 16-bit storage is rounded as in zo/dense-update.wgsl.

struct Parameters {
  quads: u32,
  weight_start: u32,
  moment_start: u32,
  element_start: u32,
  seed_low: u32,
  seed_high: u32,
  tensor: u32,
  step: u32,
  queries: u32,
  coefficient_offset: u32,
  decay_rate: f32,
  learning_rate: f32,
  beta1: f32,
  beta2: f32,
  correction1: f32,
  correction2: f32,
}

@group(0) @binding(0) var<storage, read_write> weight: array<WeightWord>;
@group(0) @binding(1) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> square: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> coefficients: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.quads) {
    return;
  }
  let element = parameters.element_start + index;
  let key = vec2<u32>(parameters.seed_low, parameters.seed_high);
  var gradient = vec4<f32>(0.0);
  for (var query = 0u; query < parameters.queries; query++) {
    let counter = vec4<u32>(element, parameters.tensor, parameters.step, (PURPOSE_NOISE << 24u) | query);
    gradient = fma(vec4<f32>(coefficients[parameters.coefficient_offset + query]), gaussian_quad(counter, key), gradient);
  }
  let moment = parameters.moment_start + index;
  var before = Moments(mean[moment], vec4<f32>(0.0));
  if (ADAPTIVE) {
    before.square = square[moment];
  }
  let after = advance(before, gradient, parameters.beta1, parameters.beta2);
  mean[moment] = after.mean;
  if (ADAPTIVE) {
    square[moment] = after.square;
  }
  let place = parameters.weight_start + index;
  let value = widen(weight[place]);
  let decayed = fma(vec4<f32>(-parameters.decay_rate), value, value);
  let moved = fma(vec4<f32>(-parameters.learning_rate), heading(after, parameters.correction1, parameters.correction2), decayed);
  let rounding = vec4<u32>(element, parameters.tensor, parameters.step, PURPOSE_ROUNDING << 24u);
  weight[place] = narrow(moved, philox(rounding, key));
}
