/**
 * Projection alignment in float64, and what it brings: figures that docs/method.md gives come from here.
 */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { join } from '../../src/platform/index.ts';
import { gaussian, purposes, tensorId } from '../../src/random/philox.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import { alignedGradients, directionProducts } from '../../src/zo/alignment.ts';
import { createJournal, openJournal } from '../../src/zo/journal.ts';
import { relativeError } from '../support/zo/compare.ts';
import { goldenExamples, readGolden } from '../support/zo/golden.ts';
import { liveStep } from '../support/zo/live.ts';
import { Mean } from '../support/zo/mean.ts';
import { orthonormal } from '../support/zo/quadratic.ts';
import { withSession } from '../support/zo/session.ts';
import { collect, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += a[index]! * b[index]!;
  return sum;
};

/** Directions of a step over some tensors, each as one list of all numbers. */
function directionsOf(lengths: readonly number[], seed: number, step: number, queries: number) {
  const entries = lengths.map((length, index) => ({ tensor: tensorId(`tensor ${index}`), length }));
  const directions = Array.from({ length: queries }, (_, query) =>
    Float64Array.from(
      entries.flatMap(({ tensor, length }) => [
        ...gaussian(seed, { tensor, step, purpose: purposes.dense, query }, length),
      ]),
    ),
  );
  const products = directionProducts(entries, { seed, step, queries });
  return { directions, products };
}

/** (1/K) Σ aₖ zₖ. */
function estimate(weights: readonly number[], directions: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(directions[0]!.length);
  for (const [query, direction] of directions.entries()) {
    for (let index = 0; index < sum.length; index++)
      sum[index]! += (weights[query]! * direction[index]!) / weights.length;
  }
  return sum;
}

describe('the aligned estimate', () => {
  test('is q/K times the projection of the gradient onto the directions', () => {
    const [q, queries] = [30, 7];
    const { directions, products } = directionsOf([9, 21], 5, 3, queries);
    const gradient = gaussian(8, { tensor: 1, step: 0, purpose: 0, query: 0 }, q);
    const rho = directions.map((direction) => dot(direction, gradient));
    const basis = orthonormal(
      Float64Array.from({ length: q * queries }, (_, at) => directions[at % queries]![Math.floor(at / queries)]!),
      q,
      queries,
    );
    const projection = new Float64Array(q);
    for (let column = 0; column < queries; column++) {
      let share = 0;
      for (let index = 0; index < q; index++) share += basis[index * queries + column]! * gradient[index]!;
      for (let index = 0; index < q; index++) projection[index]! += share * basis[index * queries + column]!;
    }
    const aligned = estimate(alignedGradients(rho, products, q), directions);
    expect(
      relativeError(
        aligned,
        projection.map((value) => (value * q) / queries),
      ),
    ).toBeLessThan(1e-6);
  });

  test('of as many directions as numbers is the gradient; of one it is ρz but for the length of z', () => {
    const q = 6;
    const gradient = gaussian(8, { tensor: 2, step: 0, purpose: 0, query: 0 }, q);
    const all = directionsOf([q], 5, 0, q);
    const rho = all.directions.map((direction) => dot(direction, gradient));
    expect(relativeError(estimate(alignedGradients(rho, all.products, q), all.directions), gradient)).toBeLessThan(
      1e-4,
    );
    const { directions, products } = directionsOf([q], 5, 1, 1);
    const size = dot(directions[0]!, directions[0]!);
    expect(alignedGradients([2], products, q)[0]).toBeCloseTo((2 * q) / size, 6);
  });

  test('is unbiased, with E‖ĝ − a‖² = (q/K − 1)‖a‖² where the mean has (q + 1)/K', () => {
    const [q, queries, steps] = [12, 4, 4000];
    const gradient = gaussian(9, { tensor: 3, step: 0, purpose: 0, query: 0 }, q);
    const size = dot(gradient, gradient);
    const components = Array.from({ length: q }, () => new Mean());
    const [spread, plainSpread] = [new Mean(), new Mean()];
    const far = (one: Float64Array) => one.reduce((sum, value, index) => sum + (value - gradient[index]!) ** 2, 0);
    for (let step = 0; step < steps; step++) {
      const { directions, products } = directionsOf([5, 7], 31, step, queries);
      const rho = directions.map((direction) => dot(direction, gradient));
      const aligned = estimate(alignedGradients(rho, products, q), directions);
      for (const [index, mean] of components.entries()) mean.add(aligned[index]!);
      spread.add(far(aligned));
      plainSpread.add(far(estimate(rho, directions)));
    }
    for (const [index, mean] of components.entries()) {
      expect(Math.abs(mean.value - gradient[index]!)).toBeLessThan(4.5 * mean.error);
    }
    expect(Math.abs(spread.value - (q / queries - 1) * size)).toBeLessThan(4.5 * spread.error);
    expect(Math.abs(plainSpread.value - ((q + 1) / queries) * size)).toBeLessThan(4.5 * plainSpread.error);
  });
});

/**
 * ½ Σ hᵢxᵢ² with curvatures between 0.5 and 2, from all ones: what is left of it after a budget of directions, in the
 * geometric mean over seeds, for the best learning rate of a grid.
 */
function remaining(q: number, queries: number, budget: number, combination: 'mean' | 'aligned'): number {
  const curvatures = Float64Array.from({ length: q }, (_, index) => 0.5 * 4 ** (index / (q - 1)));
  const value = (x: Float64Array) => x.reduce((sum, each, index) => sum + (curvatures[index]! * each * each) / 2, 0);
  const start = new Float64Array(q).fill(1);
  const seeds = [1, 2, 3, 4, 5];
  // The same directions for every learning rate.
  const drawn = seeds.map((seed) =>
    Array.from({ length: budget / queries }, (_, step) => directionsOf([q], seed, step, queries)),
  );
  let best = Number.POSITIVE_INFINITY;
  // Around K/(q + K), where a step along the mean goes down fastest for a curvature of 1.
  for (const factor of [0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8]) {
    const rate = (factor * queries) / (q + queries);
    let logs = 0;
    for (const steps of drawn) {
      const x = Float64Array.from(start);
      for (const { directions, products } of steps) {
        const gradient = x.map((each, index) => each * curvatures[index]!);
        const rho = directions.map((direction) => dot(direction, gradient));
        const weights =
          combination === 'mean'
            ? rho
            : alignedGradients(
                rho,
                products.map((row) => row.slice()),
                q,
              );
        const ahead = estimate(weights, directions);
        for (let index = 0; index < q; index++) x[index]! -= rate * ahead[index]!;
      }
      logs += Math.log(value(x) / value(start));
    }
    best = Math.min(best, Math.exp(logs / seeds.length));
  }
  return best;
}

describe('on a quadratic with a budget of directions', () => {
  test('alignment is worth as much as its share of the dimensions', () => {
    const left = (q: number, queries: number) =>
      (['mean', 'aligned'] as const).map((combination) => remaining(q, queries, 8 * q, combination)) as [
        number,
        number,
      ];
    // Progress by the logarithm of what is left, in units of that of the mean.
    const gain = ([mean, aligned]: readonly [number, number]) => Math.log(aligned) / Math.log(mean);
    const [few, quarter, all] = [left(64, 4), left(32, 8), left(16, 16)];
    expect(gain(few)).toBeGreaterThan(1);
    expect(gain(few)).toBeLessThan(1.15);
    expect(gain(quarter)).toBeGreaterThan(gain(few));
    expect(gain(all)).toBeGreaterThan(2);
    // The mean of more directions gets less far with the same number of them.
    expect(remaining(16, 1, 8 * 16, 'mean')).toBeLessThan(all[0] / 2);
  });
});

describe('a run with aligned directions', () => {
  let gpu: Gpu;
  let engine: LocalEngine;
  let model: string;
  let file: string;
  beforeAll(async () => {
    gpu = await Gpu.open();
    engine = await LocalEngine.open();
    model = tinyModel();
    file = writeRows(optionRows());
  });
  afterAll(async () => {
    await engine.close();
    gpu.close();
    removeTemporary();
  });
  const aligned = { queries: 3, queryCombination: 'aligned' } as const;

  test.each(['subzero', 'subzero-plus'] as const)('%s: moves S along q/K times the projection', async (optimizer) => {
    const settings = {
      model: 'llama-tiny',
      optimizer,
      rank: 2,
      seed: 17,
      sides: 2,
      learningRate: 1e-3,
      ...aligned,
    } as const;
    const examples = goldenExamples(readGolden('llama-central')).slice(0, 2);
    await withSession(gpu, settings, async (session) => {
      session.optimizer.beginStep(0);
      const { measured } = await liveStep(session, examples, 0);
      const { projectedGradients: rho, alignedGradients: weights = [] } = measured;
      // The products of the directions with the estimate, over all that trains, are q/K times ρ.
      const lengths = new Map([...session.model.vectors].map(([name, values]) => [name, values.length]));
      for await (const { weight, rank } of session.subzero.factors()) lengths.set(weight.name, rank * rank);
      const noise = (name: string, query: number) =>
        gaussian(17, { tensor: tensorId(name), step: 0, purpose: purposes.dense, query }, lengths.get(name)!);
      const q = [...lengths.values()].reduce((sum, length) => sum + length, 0);
      for (const query of rho.keys()) {
        let product = 0;
        for (const name of lengths.keys()) {
          for (const [other, weight] of weights.entries()) {
            product += (weight * dot(noise(name, query), noise(name, other))) / rho.length;
          }
        }
        expect(relativeError([product], [(q / rho.length) * rho[query]!])).toBeLessThan(1e-4);
      }
      if (optimizer === 'subzero-plus') return;
      for await (const { weight, s } of session.subzero.factors()) {
        const expected = new Float64Array(s.length);
        for (const [query, each] of weights.entries()) {
          const z = noise(weight.name, query);
          for (let index = 0; index < s.length; index++) expected[index]! -= (1e-3 * each * z[index]!) / weights.length;
        }
        expect(relativeError(s, expected)).toBeLessThan(1e-5);
      }
    });
  });

  test('goes on and is replayed to the same bits: the journal has what the update took', async () => {
    const train = async (stopAfter = Number.POSITIVE_INFINITY) => {
      const out = join(temporaryFolder(), 'run');
      const stop = new AbortController();
      const configuration = { ...quick, ...aligned, steps: 7, learningRate: 1e-3 };
      for await (const event of engine.train({ model, data: { file }, configuration, out }, stop.signal)) {
        if (event.type === 'step' && event.step >= stopAfter) stop.abort();
      }
      return out;
    };
    const [whole, part] = [await train(), await train(4)];
    await collect(engine.train({ resume: part }));
    const { header, records } = await openJournal(join(whole, 'journal.subzero'));
    expect(header.configuration.queryCombination).toBe('aligned');
    expect(records).toEqual((await openJournal(join(part, 'journal.subzero'))).records);
    for (const { projectedGradients, alignedGradients: weights } of records) {
      expect(weights).toHaveLength(3);
      expect(weights).not.toEqual(projectedGradients);
    }
    const exported = async (run: string) => {
      const out = join(temporaryFolder(), 'out');
      await engine.exportRun({ run, format: 'safetensors', out });
      return readFileSync(join(out, 'model.safetensors'));
    };
    expect(Buffer.compare(await exported(whole), await exported(part))).toBe(0);
  });

  test('a journal of before, which says nothing of it, is one of means, with the records that it had', async () => {
    const out = join(temporaryFolder(), 'run');
    const configuration = { ...quick, queries: 2 };
    await collect(engine.train({ model, data: { file }, configuration, out }));
    const { header, records, recordBytes } = await openJournal(join(out, 'journal.subzero'));
    const { queryCombination, ...before } = header.configuration;
    expect(queryCombination).toBe('mean');
    const older = join(temporaryFolder(), 'older');
    const writer = await createJournal(older, { ...header, configuration: before as typeof header.configuration });
    for (const record of records) await writer.append(record);
    await writer.close();
    const read = await openJournal(older);
    expect(read.header.configuration).toEqual(header.configuration);
    expect(read.records).toEqual(records);
    expect([read.recordBytes, recordBytes]).toEqual([24, 24]);
  });

  test('is refused where it has no meaning', async () => {
    const refused = (configuration: object) => () => resolveConfiguration({ ...aligned, ...configuration });
    expect(refused({ optimizer: 'mezo' })).toThrow(
      /needs optimizer subzero or subzero-plus.*mezo has one for every weight/,
    );
    await expect(engine.createRun({ id: 'steps', model, configuration: aligned })).rejects.toThrow(/training loop's/);
    const few = { ...quick, ...aligned, queries: 9, parameters: ['model.layers.0.self_attn.q_proj.weight'], rank: 2 };
    const out = join(temporaryFolder(), 'run');
    await expect(collect(engine.train({ model, data: { file }, configuration: few, out }))).rejects.toThrow(
      /queries must be at most 4 with queryCombination aligned, the numbers that train; got 9/,
    );
  });
});
