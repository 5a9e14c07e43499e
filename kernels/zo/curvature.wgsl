// HiZOO's running curvature of one tensor: H ← (1 − s) H + s · mean_k(c_k z_k²) H, kept as ln H: ln H += ln(1 + s (mean_k(c_k z_k²) − 1)).
//
// log_curvature: quads of elements, of which the launch takes `quads` from quad_start on; the first is quad first_element of the tensor.
// coefficients[coefficient_offset + k] = c_k / K, with c_k = |ℓ₊ + ℓ₋ − 2ℓ₀| / 2ε² of query k.

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

// ln(1 + x) = 2 artanh(x / (2 + x)); its series holds to f32 rounding for |x| ≤ 1/2, where log(1 + x) itself would lose a small x.
fn log_one_plus(x: f32) -> f32 {
  if (abs(x) > 0.5) {
    return log(1.0 + x);
  }
  let t = x / (2.0 + x);
  let square = t * t;
  return 2.0 * t * (1.0 + square * (0.33333334 + square * (0.2 + square * (0.14285715 + square * (0.11111111 + square * 0.09090909)))));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.quads) {
    return;
  }
  var sum = vec4<f32>(0.0);
  for (var query = 0u; query < parameters.queries; query++) {
    let counter = vec4<u32>(parameters.first_element + index, parameters.tensor, parameters.step, (PURPOSE_NOISE << 24u) | query);
    let z = gaussian_quad(counter, vec2<u32>(parameters.seed_low, parameters.seed_high));
    sum = fma(vec4<f32>(coefficients[parameters.coefficient_offset + query]), z * z, sum);
  }
  let change = parameters.smoothing * (sum - vec4<f32>(1.0));
  log_curvature[parameters.quad_start + index] += vec4<f32>(
    log_one_plus(change.x),
    log_one_plus(change.y),
    log_one_plus(change.z),
    log_one_plus(change.w),
  );
}
