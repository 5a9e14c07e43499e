// Updates a densely perturbed weight, in place, for `steps` consecutive steps from `step` on: W ← W − decay · W − Σ_k
// c_k · d_k. The direction d (zo/direction.wgsl) is that of the W before the step. Weights that a mask leaves out do
// not decay either. With a curved direction, ln H is updated after W.
//
// Rows and log_curvature as in zo/dense-weight.wgsl. coefficients: for each step, from coefficient_offset on and
// `coefficient_stride` apart, c_k = learning rate · ρ_k / K; with a curved direction then the curvature terms / K
// (zo/after-curvature.wgsl); last the decay rate. Arithmetic is f32. 16-bit storage is rounded stochastically after
// each step, with random bits from (seed, tensor, step, element). A replay takes many steps in one launch, which gives
// the same bits as one launch per step.

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
  steps: u32,
  queries: u32,
  coefficient_offset: u32,
  coefficient_stride: u32,
  threshold: f32,
  smoothing: f32,
  // How the weight is padded (random/padded-quads.wgsl).
  row_width: u32,
  row_stride: u32,
  column_width: u32,
  column_stride: u32,
}

@group(0) @binding(0) var<storage, read_write> weight: array<WeightWord>;
@group(0) @binding(1) var<storage, read_write> log_curvature: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> coefficients: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

// Four elements while they go through the steps.
struct Quad {
  word: WeightWord,
  curvature: vec4<f32>,
  // For the current step: the weight before it, the weight with what has been added, and mean_k(c_k z_k²).
  before: vec4<f32>,
  value: vec4<f32>,
  seen: vec4<f32>,
}

fn load(index: u32) -> Quad {
  var quad: Quad;
  quad.word = weight[parameters.weight_row * parameters.width_quads + index];
  if (DIRECTION == DIRECTION_CURVED) {
    quad.curvature = log_curvature[parameters.curvature_row * parameters.width_quads + index];
  }
  return quad;
}

fn begin(quad: ptr<function, Quad>, decay: f32) {
  quad.before = widen(quad.word);
  var decaying = quad.before;
  if (DIRECTION == DIRECTION_MASKED) {
    decaying = direction(quad.before, quad.before, parameters.threshold, quad.curvature);
  }
  quad.value = fma(vec4<f32>(-decay), decaying, quad.before);
  quad.seen = vec4<f32>(0.0);
}

fn add(quad: ptr<function, Quad>, z: vec4<f32>, coefficient: f32, curvature: f32) {
  let along = direction(z, quad.before, parameters.threshold, quad.curvature);
  quad.value = fma(vec4<f32>(-coefficient), along, quad.value);
  if (DIRECTION == DIRECTION_CURVED) {
    quad.seen = fma(vec4<f32>(curvature), z * z, quad.seen);
  }
}

fn end(quad: ptr<function, Quad>, element: u32, rounding: vec4<u32>) {
  quad.word = narrow(quad.value, rounding);
  if (DIRECTION == DIRECTION_CURVED) {
    // Padding sees no noise, so its curvature would fall without end.
    let after = after_curvature(quad.curvature, quad.seen, parameters.smoothing);
    quad.curvature = select(quad.curvature, after, has_noise(element));
  }
}

fn store(index: u32, quad: Quad) {
  weight[parameters.weight_row * parameters.width_quads + index] = quad.word;
  if (DIRECTION == DIRECTION_CURVED) {
    log_curvature[parameters.curvature_row * parameters.width_quads + index] = quad.curvature;
  }
}

// An invocation takes two quads; see gaussian_quads.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first_index = (group.y * groups.x + group.x) * 128u + lane;
  let second_index = first_index + 64u;
  let count = parameters.rows * parameters.width_quads;
  if (first_index >= count) {
    return;
  }
  let first_element = parameters.output_row * parameters.width_quads + first_index;
  let second_element = first_element + 64u;
  let key = vec2<u32>(parameters.seed_low, parameters.seed_high);
  // With one query, a constant at compile time, there is no inner loop, which makes a software adapter twice as fast.
  let queries = select(parameters.queries, 1u, ONE_QUERY);
  var first = load(first_index);
  var second = load(second_index);
  for (var index = 0u; index < parameters.steps; index++) {
    let step = parameters.step + index;
    let start = parameters.coefficient_offset + index * parameters.coefficient_stride;
    let decay = coefficients[start + parameters.coefficient_stride - 1u];
    begin(&first, decay);
    begin(&second, decay);
    for (var query = 0u; query < queries; query++) {
      let counter = vec4<u32>(first_element, parameters.tensor, step, (PURPOSE_NOISE << 24u) | query);
      let z = noise_quads(counter, second_element, key);
      let coefficient = coefficients[start + query];
      var curvature = 0.0;
      if (DIRECTION == DIRECTION_CURVED) {
        curvature = coefficients[start + queries + query];
      }
      add(&first, z.first, coefficient, curvature);
      add(&second, z.second, coefficient, curvature);
    }
    end(&first, first_element, philox(vec4<u32>(first_element, parameters.tensor, step, PURPOSE_ROUNDING << 24u), key));
    end(&second, second_element,
      philox(vec4<u32>(second_element, parameters.tensor, step, PURPOSE_ROUNDING << 24u), key));
  }
  store(first_index, first);
  if (second_index < count) {
    store(second_index, second);
  }
}
