// Updates a densely perturbed weight by Adam or by momentum, in place, for `steps` consecutive steps from `step` on: g
// = Σ_k c_k · z_k; m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; W ← W − decay · W − learning rate · heading(m, v), see
// zo/moments.wgsl.
//
// weight: stored elements (weights/*.wgsl). The launch takes `quads` quads of them from weight_start on, which begin at
// quad element_start of the whole tensor. mean, square: m and v of the same elements, f32, from moment_start on; square
// is unused unless ADAPTIVE. coefficients: for each step, from coefficient_offset on and `coefficient_stride` apart,
// c_k = ρ_k / K, then the decay rate, the learning rate and both corrections. 16-bit storage is rounded as in
// zo/dense-update.wgsl.

struct Parameters {
  quads: u32,
  weight_start: u32,
  moment_start: u32,
  element_start: u32,
  seed_low: u32,
  seed_high: u32,
  tensor: u32,
  step: u32,
  steps: u32,
  queries: u32,
  coefficient_offset: u32,
  coefficient_stride: u32,
  beta1: f32,
  beta2: f32,
  // How the weight is padded (random/padded-quads.wgsl).
  width_quads: u32,
  row_width: u32,
  row_stride: u32,
  column_width: u32,
  column_stride: u32,
}

@group(0) @binding(0) var<storage, read_write> weight: array<WeightWord>;
@group(0) @binding(1) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> square: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> coefficients: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.quads) {
    return;
  }
  let place = parameters.weight_start + index;
  let element = parameters.element_start + index;
  let moment = parameters.moment_start + index;
  let key = vec2<u32>(parameters.seed_low, parameters.seed_high);
  var word = weight[place];
  var moments = Moments(mean[moment], vec4<f32>(0.0));
  if (ADAPTIVE) {
    moments.square = square[moment];
  }
  // With one query, a constant at compile time, there is no inner loop, which makes a software adapter twice as fast.
  let queries = select(parameters.queries, 1u, ONE_QUERY);
  for (var index_of_step = 0u; index_of_step < parameters.steps; index_of_step++) {
    let step = parameters.step + index_of_step;
    let first = parameters.coefficient_offset + index_of_step * parameters.coefficient_stride;
    let rates = first + queries;
    var gradient = vec4<f32>(0.0);
    for (var query = 0u; query < queries; query++) {
      let counter = vec4<u32>(element, parameters.tensor, step, (PURPOSE_NOISE << 24u) | query);
      gradient = fma(vec4<f32>(coefficients[first + query]), noise_quad(counter, key), gradient);
    }
    moments = advance(moments, gradient, parameters.beta1, parameters.beta2);
    let before = widen(word);
    let decayed = fma(vec4<f32>(-coefficients[rates]), before, before);
    let along = heading(moments, coefficients[rates + 2u], coefficients[rates + 3u]);
    let value = fma(vec4<f32>(-coefficients[rates + 1u]), along, decayed);
    word = narrow(value, philox(vec4<u32>(element, parameters.tensor, step, PURPOSE_ROUNDING << 24u), key));
  }
  weight[place] = word;
  mean[moment] = moments.mean;
  if (ADAPTIVE) {
    square[moment] = moments.square;
  }
}
