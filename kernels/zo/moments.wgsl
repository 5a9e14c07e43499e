// The running means of a gradient (m) and of its square (v), and the direction that they give: m̂ (momentum), or m̂ /
// (√v̂ + 1e-8) if ADAPTIVE (Adam). The corrections are 1 / (1 − β^t), because means that start at zero are too small by
// that factor.

struct Moments {
  mean: vec4<f32>,
  square: vec4<f32>,
}

fn advance(before: Moments, gradient: vec4<f32>, beta1: f32, beta2: f32) -> Moments {
  return Moments(
    fma(vec4<f32>(1.0 - beta1), gradient - before.mean, before.mean),
    fma(vec4<f32>(1.0 - beta2), gradient * gradient - before.square, before.square),
  );
}

fn heading(moments: Moments, correction1: f32, correction2: f32) -> vec4<f32> {
  if (!ADAPTIVE) {
    return correction1 * moments.mean;
  }
  // Keeps the quotient finite where no gradient has been seen.
  return correction1 * moments.mean / (sqrt(correction2 * moments.square) + vec4<f32>(1e-8));
}
