// The soft cap of a score or a logit, SOFT_CAP · tanh(value / SOFT_CAP); the value itself where SOFT_CAP is 0.

fn soft_cap(value: f32) -> f32 {
  if (SOFT_CAP == 0.0) {
    return value;
  }
  let x = value / SOFT_CAP;
  let magnitude = abs(x);
  // The tanh of some drivers loses digits near 0 and overflows to NaN far from it. Near 0 it is a polynomial (Cephes,
  // |relative error| < 2e-7), elsewhere 1 - 2/(e^2x + 1), in which a NaN stays one.
  let square = x * x;
  let polynomial = (((-5.70498872745e-3 * square + 2.06390887954e-2) * square - 5.37397155531e-2) * square
    + 1.33314422036e-1) * square - 3.33332819422e-1;
  let near = fma(polynomial * square, x, x);
  let far = x / magnitude * (1.0 - 2.0 / (exp(2.0 * min(magnitude, 20.0)) + 1.0));
  return SOFT_CAP * select(far, near, magnitude < 0.625);
}
