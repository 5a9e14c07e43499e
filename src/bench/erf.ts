/**
 * The error function in float64: the Maclaurin series where it converges fast, the continued fraction of erfc beyond
 * (Abramowitz and Stegun, 7.1.6 and 7.1.14).
 */
export function erf(value: number): number {
  const x = Math.abs(value);
  let result: number;
  if (x < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * sum; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
      if (term === 0) break;
    }
    result = (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  } else {
    let fraction = x;
    for (let n = 60; n >= 1; n--) fraction = x + n / 2 / fraction;
    result = 1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
  }
  return value < 0 ? -result : result;
}
