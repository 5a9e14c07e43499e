/**
 * The closed forms of docs/method.md, "The view of a tensor", against subspaces that are drawn, in float64. A mean of n
 * draws may be off by 6 of its standard errors, which a correct formula is in one of 10⁸ comparisons.
 */

import { expect, test } from 'vitest';
import { rankOfView, secondMoment, shareVariation, type View } from '../../src/experiments/subspace-moments.ts';
import { mostSquare } from '../../src/tuning/adapter.ts';
import { type Random, withSeed } from '../support/random.ts';
import { Mean } from '../support/zo/mean.ts';
import { orthonormal } from '../support/zo/quadratic.ts';

const draws = 6000;
const sigmas = 6;

/** A gradient [rows, columns] of some rank, with unequal singular values. */
function gradientOf(random: Random, rows: number, columns: number, rank: number): Float64Array {
  const gradient = new Float64Array(rows * columns);
  for (let term = 0; term < rank; term++) {
    const [left, right] = [random.normals(rows), random.normals(columns)];
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) gradient[i * columns + j]! += (left[i]! * right[j]!) / (term + 1);
    }
  }
  return gradient;
}

/** Σσ⁴ / (Σσ²)², as ‖GᵀG‖² / ‖G‖⁴. */
function concentrationOf(gradient: Float64Array, rows: number, columns: number): number {
  let fourth = 0;
  for (let a = 0; a < columns; a++) {
    for (let b = 0; b < columns; b++) {
      let entry = 0;
      for (let i = 0; i < rows; i++) entry += gradient[i * columns + a]! * gradient[i * columns + b]!;
      fourth += entry ** 2;
    }
  }
  return fourth / squared(gradient) ** 2;
}

const squared = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return sum;
};

/** Uᵀ G V [r, r] for factors that are drawn. */
function projected(random: Random, gradient: Float64Array, { rows, columns }: View, r: number): Float64Array {
  const u = orthonormal(Float64Array.from(random.normals(rows * r)), rows, r);
  const v = orthonormal(Float64Array.from(random.normals(columns * r)), columns, r);
  const result = new Float64Array(r * r);
  for (let b = 0; b < r; b++) {
    for (let i = 0; i < rows; i++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += gradient[i * columns + j]! * v[j * r + b]!;
      for (let a = 0; a < r; a++) result[a * r + b]! += u[i * r + a]! * sum;
    }
  }
  return result;
}

const shapes: [rows: number, columns: number, rank: number, gradientRank: number][] = [
  [3, 16, 2, 1],
  [3, 16, 2, 3],
  // The rank is clipped to the thin side.
  [2, 24, 8, 2],
  [6, 8, 2, 1],
  [6, 8, 3, 6],
  [5, 5, 4, 2],
];

test.each(shapes)('a view of %i × %i, r %i, with a gradient of rank %i', async (rows, columns, rank, gradientRank) => {
  await withSeed(`view ${rows} ${columns} ${rank} ${gradientRank}`, (random) => {
    const view = { rows, columns, rank };
    const r = rankOfView(view);
    const gradient = gradientOf(random, rows, columns, gradientRank);
    const size = squared(gradient);
    const share = r ** 2 / (rows * columns);
    const alignment = 1 / share;
    const [shares, shareSquares, single, three] = [new Mean(), new Mean(), new Mean(), new Mean()];
    for (let draw = 0; draw < draws; draw++) {
      const core = projected(random, gradient, view, r);
      const caught = squared(core) / size;
      shares.add(caught);
      shareSquares.add(caught ** 2);
      // ĝ = μ² ⟨Z, Uᵀ∇f V⟩ U Z Vᵀ, the length of which is that of its coefficients.
      const estimates = Array.from({ length: 3 }, () => {
        const z = random.normals(r * r);
        const rho = core.reduce((sum, value, index) => sum + value * z[index]!, 0);
        return Float64Array.from(z, (value) => alignment * rho * value);
      });
      single.add(squared(estimates[0]!) / size);
      const middle = estimates[0]!.map((_, index) => estimates.reduce((sum, each) => sum + each[index]!, 0) / 3);
      three.add(squared(middle) / size);
    }
    const near = (mean: Mean, theory: number, what: string) =>
      expect(Math.abs(mean.value - theory), `${what}: ${mean.value} ± ${mean.error}, theory ${theory}`).toBeLessThan(
        sigmas * mean.error + 1e-9,
      );
    near(shares, share, 'mean share');
    const variation = shareVariation(view, concentrationOf(gradient, rows, columns));
    near(shareSquares, (1 + variation) * share ** 2, 'mean squared share');
    near(single, secondMoment(view), 'one estimate');
    near(three, secondMoment(view, 3), 'the mean of three');
  });
});

test('every view has the same second moment, unless it clips the rank', () => {
  const [rows, columns] = mostSquare(8 * 2048);
  expect(secondMoment({ rows, columns, rank: 8 })).toBe(secondMoment({ rows: 8, columns: 2048, rank: 8 }));
  expect(secondMoment({ rows, columns, rank: 8 }, 1000)).toBe(secondMoment({ rows: 8, columns: 2048, rank: 8 }, 1000));
  // By hand: N (1 + (q + 1) / F) / q with N = 16384, F = 1000 and q = 64 or 576.
  expect(secondMoment({ rows: 8, columns: 2048, rank: 24 }, 1000)).toBeCloseTo((16384 / 64) * 1.065, 9);
  expect(secondMoment({ rows, columns, rank: 24 }, 1000)).toBeCloseTo((16384 / 576) * 1.577, 9);
});

test('a whole space catches all of it, and a vector has Beta-distributed shares', () => {
  expect(shareVariation({ rows: 4, columns: 4, rank: 9 }, 0.3)).toBeCloseTo(0, 12);
  // One row, r = 1: v₁² of a unit vector in n dimensions, Beta(1/2, (n − 1)/2), whose squared variation is
  // 2(n − 1)/(n + 2).
  expect(shareVariation({ rows: 1, columns: 10, rank: 3 }, 1)).toBeCloseTo(18 / 12, 12);
});
