/** Estimates against directions that are written out, in float64. */

import { expect, test } from 'vitest';
import { type EstimatingMethod, estimatesOf } from '../../src/experiments/directions.ts';
import { gaussian, purposes, tensorId } from '../../src/random/philox.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import { withSeed } from '../support/random.ts';
import { Subspace } from '../support/zo/quadratic.ts';

const [name, rows, columns, rank, queries] = ['a.weight', 12, 10, 3, 4] as const;
const elements = rows * columns;

const product = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

/** What a method makes of the derivatives along `directions` of a step, and the same of the directions themselves. */
function both(
  estimates: ReturnType<typeof estimatesOf>,
  {
    step,
    directions,
    gradient,
    curvatures = null,
    mean = false,
  }: {
    step: number;
    directions: readonly Float64Array[];
    gradient: ArrayLike<number>;
    curvatures?: number[] | null;
    mean?: boolean;
  },
) {
  const projectedGradients = directions.map((direction) => product(direction, gradient));
  const along = directions.map((direction, k) => direction.map((value) => value * projectedGradients[k]!));
  const whole = mean
    ? [Float64Array.from({ length: elements }, (_, i) => along.reduce((sum, each) => sum + each[i]! / along.length, 0))]
    : along;
  return {
    got: estimates(step, { projectedGradients, curvatures }),
    expected: whole.map((estimate) => ({ along: product(estimate, gradient), square: product(estimate, estimate) })),
  };
}

function expectClose({ got, expected }: ReturnType<typeof both>, tolerance = 1e-9): void {
  expect(got).toHaveLength(expected.length);
  for (const [index, { along, square }] of expected.entries()) {
    expect(Math.abs(got[index]!.along / along - 1)).toBeLessThan(1e-9);
    expect(Math.abs(got[index]!.square / square - 1)).toBeLessThan(tolerance);
  }
}

const configurationOf = (optimizer: EstimatingMethod, seed: number) =>
  resolveConfiguration({ optimizer, seed, rank, queries, hessianSmoothing: 1e-3 });

test('SubZero: each direction of a subspace; SubZero+: the mean of all of them', () =>
  withSeed('directions of a subspace', (random) => {
    const seed = random.integer(0, 2 ** 31);
    const gradient = random.normals(elements);
    const subspace = new Subspace([{ name, rows, columns, rank }], 0, { seed, normAlignment: true });
    for (const optimizer of ['subzero', 'subzero-plus'] as const) {
      const estimates = estimatesOf(configurationOf(optimizer, seed), { name, elements });
      for (const step of [0, 1]) {
        subspace.draw(step);
        const directions = Array.from({ length: queries }, (_, query) => subspace.apply(subspace.noise(step, query)));
        expectClose(both(estimates, { step, directions, gradient, mean: optimizer === 'subzero-plus' }));
      }
    }
  }));

test('HiZOO: directions shrink where curvature was seen; MeZO: their length is its expectation', () =>
  withSeed('dense directions', (random) => {
    const seed = random.integer(0, 2 ** 31);
    const gradient = random.normals(elements);
    const hizoo = estimatesOf(configurationOf('hizoo', seed), { name, elements });
    const curvature = new Float64Array(elements).fill(1);
    for (const step of [0, 1, 2]) {
      const noise = Array.from({ length: queries }, (_, query) =>
        gaussian(seed, { tensor: tensorId(name), purpose: purposes.dense, step, query }, elements),
      );
      const directions = noise.map((z) => z.map((value, i) => value / Math.sqrt(curvature[i]!)));
      const curvatures = noise.map(() => 1000 * random.uniform());
      expectClose(both(hizoo, { step, directions, gradient, curvatures }));
      for (let i = 0; i < elements; i++) {
        const seen = noise.reduce((sum, z, k) => sum + (curvatures[k]! * z[i]! ** 2) / queries, 0);
        curvature[i] = (1 - 1e-3) * curvature[i]! + 1e-3 * seen * curvature[i]!;
      }
    }
    expect(Math.max(...curvature)).toBeGreaterThan(1.5);
    const mezo = estimatesOf(configurationOf('mezo', seed), { name, elements });
    const directions = [Float64Array.from(random.normals(elements))];
    // ‖d‖² has a relative deviation of √(2/N), 0.13 here.
    expectClose(both(mezo, { step: 0, directions, gradient }), 0.8);
  }));
