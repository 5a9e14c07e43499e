/**
 * What a correct estimator must show in the mean (docs/method.md, "Statistics"). Seeds are fixed, so a test either
 * always passes or always fails; `sigmas` says how unlikely a correct estimator would have been to fail when the seed
 * was chosen: |mean − theory| ≤ 4.5 standard errors, about 7 in a million per comparison.
 */

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { batchLoss } from '../../src/objectives/loss.ts';
import { gaussian, purposes, tensorId } from '../../src/random/philox.ts';
import { measure } from '../../src/zo/probe-points.ts';
import { relativeError } from '../support/zo/compare.ts';
import { optionLoss64, type Parameters64 } from '../support/zo/float64-decoder.ts';
import { goldenExamples, optionsExample, readFixture, readGolden } from '../support/zo/golden.ts';
import { probe } from '../support/zo/live.ts';
import { Mean } from '../support/zo/mean.ts';
import { type FactoredMatrix, orthonormal, Quadratic, Subspace } from '../support/zo/quadratic.ts';
import { withSession } from '../support/zo/session.ts';
import { effectiveParameters, withChange } from '../support/zo/weights.ts';

const sigmas = 4.5;
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

function expectMean(mean: Mean, theory: number, what: string): void {
  expect(Math.abs(mean.value - theory), `${what}: ${mean.value} ± ${mean.error}, theory ${theory}`).toBeLessThan(
    sigmas * mean.error,
  );
}

describe('on a quadratic, where the central difference is exact', () => {
  const matrices: FactoredMatrix[] = [
    { name: 'first', rows: 6, columns: 4, rank: 2 },
    { name: 'second', rows: 3, columns: 5, rank: 3 },
  ];
  const draws = 20_000;

  test('without μ and dense parameters: mean, second moment, cosine² = 1/q', () => {
    const quadratic = new Quadratic(6 * 4 + 3 * 5, 11);
    const space = new Subspace(matrices, 0, { seed: 5, normAlignment: false });
    space.draw(0);
    const q = 2 * 2 + 3 * 3;
    expect(space.coefficients).toBe(q);
    const gradient = quadratic.gradient();
    const projected = space.transpose(gradient);
    const size = dot(projected, projected);
    const components = Array.from({ length: gradient.length }, () => new Mean());
    const second = new Mean();
    const cosine = new Mean();
    for (let step = 0; step < draws; step++) {
      const direction = space.apply(space.noise(step));
      const rho = quadratic.centralDifference(direction, 0.1);
      for (const [index, mean] of components.entries()) mean.add(rho * direction[index]!);
      const squared = rho * rho * dot(direction, direction);
      second.add(squared);
      cosine.add((rho * dot(gradient, direction)) ** 2 / (size * squared));
    }
    const expected = space.apply(projected); // P Pᵀ∇f
    for (const [index, mean] of components.entries()) expectMean(mean, expected[index]!, `component ${index}`);
    expectMean(second, (q + 2) * size, 'E‖ĝ‖²');
    expectMean(cosine, 1 / q, 'cosine²');
  });

  test('with μ and dense parameters: E[ρz] = a, E‖ĝ‖² = 2‖Aa‖² + d‖a‖²', () => {
    const dense = 7;
    const parameters = 6 * 4 + 3 * 5 + dense;
    const quadratic = new Quadratic(parameters, 12);
    const space = new Subspace(matrices, dense, { seed: 6, normAlignment: true });
    space.draw(0);
    const a = space.transpose(quadratic.gradient());
    const ahead = space.apply(a);
    const coefficients = Array.from({ length: a.length }, () => new Mean());
    const second = new Mean();
    for (let step = 0; step < draws; step++) {
      const z = space.noise(step);
      const direction = space.apply(z);
      const rho = quadratic.centralDifference(direction, 0.1);
      for (const [index, mean] of coefficients.entries()) mean.add(rho * z[index]!);
      second.add(rho * rho * dot(direction, direction));
    }
    for (const [index, mean] of coefficients.entries()) expectMean(mean, a[index]!, `coefficient ${index}`);
    expectMean(second, 2 * dot(ahead, ahead) + parameters * dot(a, a), 'E‖ĝ‖²');
  });

  test('averaged over U and V too it is unbiased for the whole gradient, and E‖Z̃‖² = mn', () => {
    const quadratic = new Quadratic(6 * 4 + 3 * 5, 13);
    const gradient = quadratic.gradient();
    const space = new Subspace(matrices, 0, { seed: 7, normAlignment: true });
    const components = Array.from({ length: gradient.length }, () => new Mean());
    const sizes = matrices.map(() => new Mean());
    for (let period = 0; period < draws; period++) {
      space.draw(period);
      const direction = space.apply(space.noise(period));
      const rho = quadratic.centralDifference(direction, 0.1);
      for (const [index, mean] of components.entries()) mean.add(rho * direction[index]!);
      let start = 0;
      for (const [index, { rows, columns }] of matrices.entries()) {
        const block = direction.subarray(start, start + rows * columns);
        sizes[index]!.add(dot(block, block));
        start += rows * columns;
      }
    }
    for (const [index, mean] of components.entries()) expectMean(mean, gradient[index]!, `component ${index}`);
    for (const [index, { rows, columns }] of matrices.entries()) expectMean(sizes[index]!, rows * columns, 'E‖Z̃‖²');
  });

  test('K queries divide the variance by K', () => {
    const quadratic = new Quadratic(6 * 4 + 3 * 5, 14);
    const space = new Subspace(matrices, 0, { seed: 8, normAlignment: true });
    space.draw(0);
    const expected = space.apply(space.transpose(quadratic.gradient()));
    const spread = (queries: number, steps: number): Mean => {
      const mean = new Mean();
      for (let step = 0; step < steps; step++) {
        const estimate = new Float64Array(expected.length);
        for (let query = 0; query < queries; query++) {
          const direction = space.apply(space.noise(step, query));
          const rho = quadratic.centralDifference(direction, 0.1);
          for (let i = 0; i < estimate.length; i++) estimate[i]! += (rho * direction[i]!) / queries;
        }
        mean.add(estimate.reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0));
      }
      return mean;
    };
    const one = spread(1, 16_000);
    const eight = spread(8, 2000);
    const difference = Math.abs(one.value / 8 - eight.value);
    expect(difference).toBeLessThan(sigmas * Math.hypot(one.error / 8, eight.error));
  });

  test('the float64 factors of these tests are those of the GPU', async () => {
    await withSession(gpu(), { model: 'llama-tiny', rank: 5, seed: 21 }, async ({ subzero }) => {
      subzero.beginStep(0);
      for await (const { weight, rank, u, v } of subzero.factors()) {
        const tensor = tensorId(weight.name);
        const draw = (purpose: number, rows: number) =>
          orthonormal(gaussian(21, { tensor, step: 0, purpose, query: 0 }, rows * rank), rows, rank);
        expect(relativeError(u, draw(purposes.omegaU, weight.rows))).toBeLessThan(1e-5);
        expect(relativeError(v, draw(purposes.omegaV, weight.columns))).toBeLessThan(1e-5);
      }
    });
  });
});

describe('on the small transformer', () => {
  const examples = goldenExamples(readGolden('llama-central')).slice(0, 2);
  const settings = { model: 'llama-tiny', rank: 2, epsilon: 1e-3, queries: 128, seed: 99, maxRows: 16_384 };
  const steps = 3;

  test('ρ of every probe is zᵀa, and the mean of ρz is a: the gradient by central differences, projected', async () => {
    await withSession(gpu(), settings, async (session) => {
      const { model, subzero, configuration } = session;
      // 384 probes around the same weights: nothing is updated between the steps.
      const rho: number[] = [];
      for (let step = 0; step < steps; step++) {
        rho.push(...measure(await probe(session, examples, step), configuration).projectedGradients);
      }

      // a by central differences in float64: one coordinate of the state moves at a time.
      const base = await effectiveParameters(model, subzero);
      const loss = (parameters: Parameters64) => optionLoss64(model.decoder, parameters, examples);
      const coordinates: { name: string; index: number; moved: (by: number) => Float64Array }[] = [];
      for await (const { weight, rank, scale, u, v } of subzero.factors()) {
        for (let index = 0; index < rank * rank; index++) {
          coordinates.push({
            name: weight.name,
            index,
            moved: (by) => {
              const s = new Float64Array(rank * rank);
              s[index] = by;
              return withChange(base.get(weight.name)!, { rank, scale, u, s, v }, [weight.rows, weight.columns]);
            },
          });
        }
      }
      for (const [name, values] of model.vectors) {
        for (let index = 0; index < values.length; index++) {
          coordinates.push({
            name,
            index,
            moved: (by) => base.get(name)!.map((value, i) => (i === index ? value + by : value)),
          });
        }
      }
      const h = 1e-5;
      const a = Float64Array.from(coordinates, ({ name, moved }) => {
        const plus = loss(new Map(base).set(name, moved(h)));
        const minus = loss(new Map(base).set(name, moved(-h)));
        return (plus - minus) / (2 * h);
      });

      const size = Math.sqrt(dot(a, a));
      const means = coordinates.map(() => new Mean());
      const along = new Mean();
      const square = new Mean();
      const counts = new Map<string, number>();
      for (const { name } of coordinates) counts.set(name, (counts.get(name) ?? 0) + 1);
      let worst = 0;
      for (const [k, value] of rho.entries()) {
        const step = Math.floor(k / configuration.queries);
        const query = k % configuration.queries;
        const noise = new Map(
          [...counts].map(([name, count]) => [
            name,
            gaussian(settings.seed, { tensor: tensorId(name), step, purpose: purposes.dense, query }, count),
          ]),
        );
        const z = coordinates.map(({ name, index }) => noise.get(name)![index]!);
        worst = Math.max(worst, Math.abs(value - dot(z, a)));
        for (const [index, mean] of means.entries()) mean.add(value * z[index]!);
        along.add((value * dot(z, a)) / size);
        square.add(value * value);
      }
      // Third derivatives times ε², and the rounding of f32 losses over ε: far below the size of ρ, which is about ‖a‖.
      expect(worst / size).toBeLessThan(2e-2);
      const largest = [...a.keys()].sort((i, j) => Math.abs(a[j]!) - Math.abs(a[i]!)).slice(0, 8);
      for (const index of largest) expectMean(means[index]!, a[index]!, JSON.stringify(coordinates[index]));
      expectMean(along, size, 'E[ρ zᵀa]/‖a‖');
      expectMean(square, size ** 2, 'E[ρ²]');
    });
  });

  test('one-sided differences estimate the same gradient from a shared unperturbed loss', async () => {
    const { projectedGradients: central } = await withSession(gpu(), { ...settings, queries: 32 }, async (session) =>
      measure(await probe(session, examples, 0), session.configuration),
    );
    const oneSided = await withSession(gpu(), { ...settings, queries: 32, sides: 1 }, async (session) => {
      const losses = await probe(session, examples, 0);
      const [scores] = await session.scorer.score(examples, session.model.plainProbes);
      // The first probe is the model itself.
      expect(Math.abs(losses[0]! - batchLoss(examples, scores!).loss)).toBeLessThan(2e-6);
      return measure(losses, session.configuration).projectedGradients;
    });
    // They differ by a second derivative times ε/2 (measured: 0.06 of the size).
    expect(relativeError(oneSided, central)).toBeLessThan(0.2);
    expect(relativeError(oneSided, central)).toBeGreaterThan(0);
  });
});

describe('on a real model', () => {
  test.each(['f32', 'bf16'] as const)('ρ of reviews-3m (%s) is that of full matrices in float64', async (storage) => {
    const directory = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
    const rows = readFixture<{ sst2_dev_first8: { prompt_ids: number[]; option_ids: number[][]; label: number }[] }>(
      'golden/reviews-3m.json',
    ).sst2_dev_first8;
    const examples = [rows[0]!, rows[6]!].map((row) => optionsExample(row.prompt_ids, row.option_ids, row.label));
    const settings = { model: directory, storage, rank: 8, epsilon: 1e-3, queries: 2, seed: 3 };
    await withSession(gpu(), settings, async (session) => {
      const { model, subzero, configuration } = session;
      const losses = await probe(session, examples, 0);
      const base = await effectiveParameters(model, subzero);
      const noise = (name: string, query: number, count: number) =>
        gaussian(settings.seed, { tensor: tensorId(name), step: 0, purpose: purposes.dense, query }, count);
      const expected: number[] = [];
      for (let query = 0; query < settings.queries; query++) {
        for (const sign of [1, -1]) {
          const moved = new Map<string, Float64Array>();
          for await (const { weight, rank, scale, u, v } of subzero.factors()) {
            const s = noise(weight.name, query, rank * rank).map((z) => sign * settings.epsilon * z);
            const change = { rank, scale, u, s, v };
            moved.set(weight.name, withChange(base.get(weight.name)!, change, [weight.rows, weight.columns]));
          }
          for (const name of model.vectors.keys()) {
            const values = base.get(name)!;
            const z = noise(name, query, values.length);
            moved.set(
              name,
              values.map((value, i) => value + sign * settings.epsilon * z[i]!),
            );
          }
          expected.push(optionLoss64(model.decoder, moved, examples));
        }
      }
      for (const [index, loss] of losses.entries()) expect(Math.abs(loss - expected[index]!)).toBeLessThan(2e-6);
      const rho = measure(losses, configuration).projectedGradients;
      for (const [query, value] of measure(expected, configuration).projectedGradients.entries()) {
        expect(Math.abs(value)).toBeGreaterThan(0.1);
        expect(Math.abs(rho[query]! - value), `${rho[query]} ${value}`).toBeLessThan(2e-3);
      }
    });
  });
});

let opened: Gpu;
const gpu = (): Gpu => opened;
beforeAll(async () => {
  opened = await Gpu.open();
});
afterAll(() => opened.close());
