// HiZOO's running curvature: H ← (1 − s) H + s · mean_k(c_k z_k²) H. It is stored as ln H: ln H += ln(1 + s (mean_k(c_k
// z_k²) − 1)).

// ln(1 + x) = 2 artanh(x / (2 + x)). The series is accurate to f32 rounding for |x| ≤ 1/2, where log(1 + x) itself
// would lose a small x.
fn log_one_plus(x: f32) -> f32 {
  if (abs(x) > 0.5) {
    return log(1.0 + x);
  }
  let t = x / (2.0 + x);
  let square = t * t;
  return 2.0 * t * (1.0 + square
    * (0.33333334 + square * (0.2 + square * (0.14285715 + square * (0.11111111 + square * 0.09090909)))));
}

// Returns ln H after a step. seen: mean_k(c_k z_k²), with c_k = |ℓ₊ + ℓ₋ − 2ℓ₀| / 2ε² of query k.
fn after_curvature(log_curvature: vec4<f32>, seen: vec4<f32>, smoothing: f32) -> vec4<f32> {
  let change = smoothing * (seen - vec4<f32>(1.0));
  return log_curvature + vec4<f32>(
    log_one_plus(change.x),
    log_one_plus(change.y),
    log_one_plus(change.z),
    log_one_plus(change.w),
  );
}
