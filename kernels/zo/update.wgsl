// The update of the trainable state: state[e] ← decay_e · state[e] − Σ_k coefficient_k · d_k[e], where d is the
// direction (zo/direction.wgsl).
//
// The layout of state, blocks and shape is that of zo/perturb.wgsl. coefficients[coefficient_offset + k] = learning
// rate · ρ_k / K, computed on the CPU in f64 and rounded once. All directions are those of the state before the update.
// decay is the decoupled weight decay of this step, 1 for none; it acts on elements whose blocks[b].w has the flag 4,
// but on no element that a mask leaves out.

struct Parameters {
  seed_low: u32,
  seed_high: u32,
  step: u32,
  queries: u32,
  block_count: u32,
  coefficient_offset: u32,
  decay: f32,
}

@group(0) @binding(0) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> blocks: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> coefficients: array<f32>;
@group(0) @binding(3) var<storage, read> shape: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

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
  let quad = block_index * 64u + lane;
  let before = state[quad];
  var value = before;
  if ((block.w & 4u) != 0u) {
    value *= parameters.decay;
    if (DIRECTION == DIRECTION_MASKED) {
      value = select(before, value, abs(before) <= vec4<f32>(shape[block_index].x));
    }
  }
  let key = vec2<u32>(parameters.seed_low, parameters.seed_high);
  for (var query = 0u; query < parameters.queries; query++) {
    let counter = vec4<u32>((block.y + first) / 4u, block.x, parameters.step, (PURPOSE_NOISE << 24u) | query);
    let along = direction(gaussian_quad(counter, key), before, shape[block_index].x, shape[quad]);
    value = fma(vec4<f32>(-coefficients[parameters.coefficient_offset + query]), along, value);
  }
  state[quad] = value;
}
