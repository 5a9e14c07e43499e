// HiZOO's running curvature of a 1-D parameter (zo/after-curvature.wgsl). The curvature of a weight is part of its
// update.
//
// log_curvature: quads of elements. The launch takes `quads` of them from quad_start on; the first is quad
// first_element of the tensor. coefficients[coefficient_offset + k] = c_k / K, with c_k = |ℓ₊ + ℓ₋ − 2ℓ₀| / 2ε² of
// query k.

struct Parameters {
  quads: u32,
  quad_start: u32,
  first_element: u32,
  seed_low: u32,
  seed_high: u32,
  tensor: u32,
  step: u32,
  queries: u32,
  coefficient_offset: u32,
  smoothing: f32,
}

@group(0) @binding(0) var<storage, read_write> log_curvature: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> coefficients: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

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
  var sum = vec4<f32>(0.0);
  for (var query = 0u; query < parameters.queries; query++) {
    let counter = vec4<u32>(parameters.first_element + index, parameters.tensor, parameters.step,
      (PURPOSE_NOISE << 24u) | query);
    let z = gaussian_quad(counter, vec2<u32>(parameters.seed_low, parameters.seed_high));
    sum = fma(vec4<f32>(coefficients[parameters.coefficient_offset + query]), z * z, sum);
  }
  let place = parameters.quad_start + index;
  log_curvature[place] = after_curvature(log_curvature[place], sum, parameters.smoothing);
}
