/**
 * Distances between what was computed and what should have been.
 *
 * @module
 */

/** ‖actual − expected‖ / ‖expected‖; NaN as soon as one value is, and so in no range. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.NaN;
  let error = 0;
  let size = 0;
  for (let index = 0; index < expected.length; index++) {
    error += (actual[index]! - expected[index]!) ** 2;
    size += expected[index]! ** 2;
  }
  return error === 0 ? 0 : Math.sqrt(error / size);
}

/** The Euclidean (of a matrix: Frobenius) norm. */
export function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += values[index]! ** 2;
  return Math.sqrt(sum);
}
