import { expect, test } from 'vitest';
import { leastSquares, product } from '../../src/experiments/least-squares.ts';
import { singularValues } from '../../src/experiments/rank-spectrum.ts';
import { slope } from '../../src/experiments/statistics.ts';
import { withSeed } from '../support/random.ts';

test('coefficients come back from products with random directions, and the noise is seen', () =>
  withSeed('least squares', (random) => {
    const [count, directions] = [36, 400];
    const truth = random.normals(count);
    const rows = Array.from({ length: directions }, () => random.normals(count));
    const exact = leastSquares(
      rows,
      rows.map((row) => product(row, truth)),
    );
    for (const [index, value] of exact.coefficients.entries()) expect(value).toBeCloseTo(truth[index]!, 9);
    expect(exact.noise).toBeLessThan(1e-18);
    const noise = random.normals(directions, 0.1);
    const noisy = leastSquares(
      rows,
      rows.map((row, index) => product(row, truth) + noise[index]!),
    );
    // A mean of 364 squares lies within six of its deviations.
    expect(Math.abs(noisy.noise / 0.01 - 1)).toBeLessThan(6 * Math.sqrt(2 / (directions - count)));
  }));

test('singular values of matrices that are known', () => {
  // [[3, 0], [4, 5]]: σ² are 45 and 5.
  const [first, second] = singularValues([3, 0, 4, 5], 2);
  expect(first).toBeCloseTo(Math.sqrt(45), 12);
  expect(second).toBeCloseTo(Math.sqrt(5), 12);
  expect(singularValues([1, 2, 3, 2, 4, 6, 3, 6, 9], 3)[0]).toBeCloseTo(14, 12);
});

test('the slope of a power law between logarithms is its exponent', () => {
  const xs = [1, 2, 4, 8].map(Math.log);
  expect(slope(xs, [5, 20, 80, 320].map(Math.log))).toBeCloseTo(2, 12);
});
