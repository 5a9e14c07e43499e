/**
 * A matrix from its products with random directions, in f64.
 *
 * @module
 */

/** What fits best, and how well. */
export interface Fit {
  coefficients: Float64Array;
  /** Mean square of what the fit leaves, corrected for the coefficients: an estimate of the noise of one value. */
  noise: number;
}

/**
 * The coefficients p that minimise Σ_k (values_k − ⟨rows_k, p⟩)², by the normal equations and a Cholesky factorisation.
 * Their condition is that of the rows squared, which is small for Gaussian rows that are more than the coefficients by
 * a third.
 * @param rows more of them than coefficients, linearly independent
 */
export function leastSquares(rows: readonly ArrayLike<number>[], values: readonly number[]): Fit {
  const count = rows[0]!.length;
  const normal = Array.from({ length: count }, () => new Float64Array(count));
  const right = new Float64Array(count);
  for (const [k, row] of rows.entries()) {
    for (let i = 0; i < count; i++) {
      const factor = row[i]!;
      right[i]! += factor * values[k]!;
      const into = normal[i]!;
      for (let j = 0; j <= i; j++) into[j]! += factor * row[j]!;
    }
  }
  for (let i = 0; i < count; i++) {
    const own = normal[i]!;
    for (let j = 0; j <= i; j++) {
      const other = normal[j]!;
      let rest = own[j]!;
      for (let k = 0; k < j; k++) rest -= own[k]! * other[k]!;
      own[j] = i === j ? Math.sqrt(rest) : rest / other[j]!;
    }
    for (let k = 0; k < i; k++) right[i]! -= own[k]! * right[k]!;
    right[i]! /= own[i]!;
  }
  for (let i = count - 1; i >= 0; i--) {
    for (let k = i + 1; k < count; k++) right[i]! -= normal[k]![i]! * right[k]!;
    right[i]! /= normal[i]![i]!;
  }
  const left = rows.reduce((sum, row, k) => sum + (values[k]! - product(row, right)) ** 2, 0);
  return { coefficients: right, noise: left / Math.max(1, rows.length - count) };
}

export function product(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
