// The update of the trainable state by Adam or by momentum: g = Σ_k coefficient_k · z_k; m ← β₁m + (1 − β₁)g; v ← β₂v +
// (1 − β₂)g²; state ← decay · state − learning_rate · unit · heading(m, v), see zo/moments.wgsl.
//
// The layout of state and blocks is that of zo/perturb.wgsl; coefficients[coefficient_offset + k] = ρ_k / K. moments: m
// and, if ADAPTIVE, v after it, each with the layout of the state. shape[b].x is the unit of block b: 1/μ for an S
// matrix, so that a step has the same length in W whatever μ is, and 1 for a 1-D parameter. The corrections are 1 / (1
// − β^t). S matrices and 1-D parameters have separate ones, because the moments of S matrices restart with each
// subspace.

struct Parameters {
  seed_low: u32,
  seed_high: u32,
  step: u32,
  queries: u32,
  block_count: u32,
  coefficient_offset: u32,
  decay: f32,
  learning_rate: f32,
  beta1: f32,
  beta2: f32,
  matrix_correction1: f32,
  matrix_correction2: f32,
  vector_correction1: f32,
  vector_correction2: f32,
}

@group(0) @binding(0) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> blocks: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> coefficients: array<f32>;
@group(0) @binding(3) var<storage, read> shape: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> moments: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let block_index = group.y * groups.x + group.x;
  if (block_index >= parameters.block_count) {
    return;
  }
  let block = blocks[block_index];
  let first = lane * 4u;
  if ((block.w & 1u) == 0u || first >= block.z) {
    return;
  }
  let key = vec2<u32>(parameters.seed_low, parameters.seed_high);
  var gradient = vec4<f32>(0.0);
  for (var query = 0u; query < parameters.queries; query++) {
    let counter = vec4<u32>((block.y + first) / 4u, block.x, parameters.step, (PURPOSE_NOISE << 24u) | query);
    gradient = fma(vec4<f32>(coefficients[parameters.coefficient_offset + query]), gaussian_quad(counter, key),
      gradient);
  }
  let quad = block_index * 64u + lane;
  let second = parameters.block_count * 64u + quad;
  var before = Moments(moments[quad], vec4<f32>(0.0));
  if (ADAPTIVE) {
    before.square = moments[second];
  }
  let after = advance(before, gradient, parameters.beta1, parameters.beta2);
  moments[quad] = after.mean;
  if (ADAPTIVE) {
    moments[second] = after.square;
  }

  let is_matrix = (block.w & 2u) != 0u;
  let correction1 = select(parameters.vector_correction1, parameters.matrix_correction1, is_matrix);
  let correction2 = select(parameters.vector_correction2, parameters.matrix_correction2, is_matrix);
  let decayed = state[quad] * select(1.0, parameters.decay, (block.w & 4u) != 0u);
  state[quad] = fma(vec4<f32>(-parameters.learning_rate * shape[block_index].x),
    heading(after, correction1, correction2), decayed);
}
