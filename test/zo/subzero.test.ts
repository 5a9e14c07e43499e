/**
 * What a run of SubZero promises beyond being right: the same bits again, the same numbers however the work is cut.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { batchLoss, type ExampleScore } from '../../src/objectives/loss.ts';
import { gaussian, purposes, tensorId } from '../../src/random/philox.ts';
import { Scorer } from '../../src/train/score.ts';
import type { AppliedStep } from '../../src/zo/optimizer.ts';
import { measure } from '../../src/zo/probe-points.ts';
import { relativeError } from '../support/zo/compare.ts';
import { goldenExamples, optionsExample, readGolden } from '../support/zo/golden.ts';
import { liveStep, probe } from '../support/zo/live.ts';
import { type SubZeroSession as Session, withSession } from '../support/zo/session.ts';
import { effectiveParameters, snapshot, weightValues, withChange } from '../support/zo/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const examples = goldenExamples(readGolden('llama-central'));
const settings = { rank: 4, refresh: 3, seed: 2 ** 40 + 5, learningRate: 1e-3, epsilon: 1e-3 };

const gradientsOf = (losses: readonly number[], of: Omit<Parameters<typeof measure>[1], 'optimizer'>) =>
  measure(losses, { optimizer: 'subzero', ...of }).projectedGradients;

/** A batch that differs from step to step. */
const batchOf = (step: number) => [0, 1, 2].map((offset) => examples[(3 * step + offset) % examples.length]!);

async function runLive(session: Session, steps: number): Promise<AppliedStep[]> {
  const journal: AppliedStep[] = [];
  for (let step = 0; step < steps; step++) journal.push((await liveStep(session, batchOf(step), step)).applied);
  return journal;
}

describe('a run and its repetitions, bit for bit', () => {
  test.each([
    { model: 'llama-tiny', storage: 'f32' },
    { model: 'llama-tiny-f16', storage: 'f16' },
    { model: 'qwen3-tiny', storage: 'bf16' },
    { model: 'opt-tiny', storage: 'bf16', queries: 2, sides: 1, weightDecay: 0.1 },
    { model: 'opt-tiny', storage: 'f16', queries: 3 },
  ] as const)('replay and a second run: $model in $storage', async (variant) => {
    const run = { ...settings, ...variant };
    const live = await withSession(gpu, run, async (session) => {
      const journal = await runLive(session, 8);
      const state = await snapshot(session.model, session.subzero);
      session.subzero.foldAll();
      return { journal, state, folded: await snapshot(session.model, session.subzero) };
    });
    const fresh = await withSession(gpu, run, ({ model, subzero }) => snapshot(model, subzero));
    // Without that, equal bits would say nothing: two folds and an open period moved everything.
    for (const [name, bits] of Object.entries(live.folded)) {
      if (!name.endsWith(' S')) expect(bits, name).not.toBe(fresh[name]);
    }
    const repeated = await withSession(gpu, run, async (session) => {
      const journal = await runLive(session, 8);
      return { journal, state: await snapshot(session.model, session.subzero) };
    });
    expect(repeated.journal).toEqual(live.journal);
    expect(repeated.state).toEqual(live.state);

    const replayed = await withSession(gpu, run, async ({ model, subzero }) => {
      await subzero.replay(live.journal);
      const state = await snapshot(model, subzero);
      subzero.foldAll();
      return { state, folded: await snapshot(model, subzero) };
    });
    expect(replayed.state).toEqual(live.state);
    expect(replayed.folded).toEqual(live.folded);

    // A journal survives JSON, and a replay in pieces is the replay in one.
    const inPieces = await withSession(gpu, run, async ({ model, subzero }) => {
      const journal = JSON.parse(JSON.stringify(live.journal)) as AppliedStep[];
      for (const [from, to] of [
        [0, 1],
        [1, 3],
        [3, 7],
        [7, 8],
      ])
        await subzero.replay(journal.slice(from, to));
      return snapshot(model, subzero);
    });
    expect(inPieces).toEqual(live.state);
  });

  test('a run that goes on after a replay is the run that was never interrupted', async () => {
    const run = { ...settings, model: 'llama-tiny' };
    const whole = await withSession(gpu, run, async (session) => {
      const journal = await runLive(session, 8);
      return { journal, state: await snapshot(session.model, session.subzero) };
    });
    for (const interruption of [2, 3, 5]) {
      await withSession(gpu, run, async (session) => {
        await session.subzero.replay(whole.journal.slice(0, interruption));
        for (let step = interruption; step < 8; step++) {
          expect((await liveStep(session, batchOf(step), step)).applied).toEqual(whole.journal[step]);
        }
        expect(await snapshot(session.model, session.subzero)).toEqual(whole.state);
      });
    }
  });

  test('more steps than one upload of coefficients holds', async () => {
    const run = { ...settings, model: 'llama-tiny', refresh: 1000, queries: 2 };
    const journal: AppliedStep[] = Array.from({ length: 2100 }, (_, step) => ({
      step,
      learningRate: Math.fround(1e-5),
      projectedGradients: [Math.fround(Math.sin(step)), Math.fround(Math.cos(step))],
    }));
    const progress: number[] = [];
    const replayed = await withSession(gpu, run, async ({ model, subzero }) => {
      await subzero.replay(journal, (done) => progress.push(done));
      return snapshot(model, subzero);
    });
    expect(progress).toEqual([1024, 2048, 2100]);
    const stepwise = await withSession(gpu, run, async ({ model, subzero }) => {
      for (const applied of journal) {
        subzero.beginStep(applied.step);
        subzero.update(applied);
      }
      return snapshot(model, subzero);
    });
    expect(replayed).toEqual(stepwise);
  });

  test('another seed, another learning rate or another ρ gives other bits', async () => {
    const journal: AppliedStep[] = [{ step: 0, learningRate: Math.fround(1e-3), projectedGradients: [1.5] }];
    const stateOf = (seed: number, applied: AppliedStep[]) =>
      withSession(gpu, { ...settings, seed, model: 'llama-tiny' }, async ({ model, subzero }) => {
        await subzero.replay(applied);
        return snapshot(model, subzero);
      });
    const base = await stateOf(1, journal);
    const name = 'model.layers.0.mlp.up_proj.weight';
    const otherSeed = await stateOf(2, journal);
    const highBit = await stateOf(1 + 2 ** 32, journal);
    for (const other of [otherSeed, highBit]) {
      for (const part of ['U', 'S', 'V']) expect(other[`${name} ${part}`]).not.toBe(base[`${name} ${part}`]);
      expect(other['model.norm.weight']).not.toBe(base['model.norm.weight']);
    }
    const otherRate = await stateOf(1, [{ ...journal[0]!, learningRate: Math.fround(2e-3) }]);
    const otherRho = await stateOf(1, [{ ...journal[0]!, projectedGradients: [3] }]);
    expect(otherRate[`${name} S`]).not.toBe(base[`${name} S`]);
    expect(otherRho).toEqual(otherRate);
  });
});

describe('an evaluation leaves no trace', () => {
  test('perturbing and scoring change neither state nor weights', async () => {
    await withSession(gpu, { ...settings, model: 'llama-tiny' }, async (session) => {
      await runLive(session, 4);
      const before = await snapshot(session.model, session.subzero);
      const first = await probe(session, batchOf(4), 4);
      const second = await probe(session, batchOf(4), 4);
      expect(second).toEqual(first);
      await session.scorer.score(batchOf(0), session.subzero.current);
      expect(await snapshot(session.model, session.subzero)).toEqual(before);
    });
  });

  test('before the first step the model is the plain model', async () => {
    await withSession(gpu, { ...settings, model: 'opt-tiny' }, async ({ model, subzero, scorer }) => {
      const plain = await scorer.score(examples, model.plainProbes);
      subzero.beginStep(0);
      expect(await scorer.score(examples, subzero.current)).toEqual(plain);
    });
  });
});

/**
 * Cutting the work otherwise may only change rounding. With kernels that treat every row alike (as on the software
 * adapter) the bits are the same; one that cuts its sums by the number of rows may differ by this much in a
 * log-probability.
 */
const cutTolerance = 2e-6;

function expectSameScores(actual: readonly ExampleScore[][], expected: readonly ExampleScore[][]): void {
  const flat = (scores: readonly ExampleScore[][]) =>
    scores.flatMap((list) => list.flatMap(({ logprobs }) => logprobs));
  expect(flat(actual).length).toBe(flat(expected).length);
  for (const [index, value] of flat(expected).entries()) {
    expect(Math.abs(flat(actual)[index]! - value)).toBeLessThan(cutTolerance * (1 + Math.abs(value)));
  }
}

describe('however the work is cut', () => {
  test.each(['llama-tiny', 'opt-tiny', 'mistral-tiny', 'opt-postln-tiny'])(
    'K queries in one forward pass are K passes one by one: %s',
    async (model) => {
      for (const sides of [1, 2] as const) {
        await withSession(gpu, { ...settings, model, queries: 3, sides }, async (session) => {
          await runLive(session, 1);
          const { subzero, scorer } = session;
          subzero.beginStep(1);
          const all = subzero.perturb(1);
          expect(all.count).toBe(sides === 1 ? 4 : 6);
          const together = await scorer.score(batchOf(1), all);
          const single: ExampleScore[][] = [];
          for (let index = 0; index < all.count; index++) {
            // One probe's slice of the perturbed state, in a buffer of its own.
            const state = gpu.allocate(all.stateStride * 4, 'state', 'one probe');
            gpu.recorder.copy(all.state, index * all.stateStride * 4, state, 0, all.stateStride * 4);
            single.push(...(await scorer.score(batchOf(1), { ...all, count: 1, state })));
            state.destroy();
          }
          expectSameScores(together, single);
          // The probes really differ, by far more than the tolerance.
          const first = single.map((list) => list[0]!.logprobs[0]!);
          expect(new Set(first).size).toBe(all.count);
        });
      }
    },
  );

  test('the first queries are the same whatever the number of queries', async () => {
    const rho: (readonly number[])[] = [];
    for (const queries of [1, 2, 5]) {
      await withSession(gpu, { ...settings, model: 'llama-tiny', queries }, async (session) => {
        rho.push(gradientsOf(await probe(session, batchOf(0), 0), session.configuration));
      });
    }
    const noise = cutTolerance / settings.epsilon;
    expect(Math.abs(rho[1]![0]! - rho[0]![0]!)).toBeLessThan(noise);
    expect(Math.abs(rho[2]![1]! - rho[1]![1]!)).toBeLessThan(noise);
    expect(new Set(rho[2]).size).toBe(5);
  });

  test('a batch in many passes is the batch in one', async () => {
    await withSession(gpu, { ...settings, model: 'llama-tiny', queries: 2 }, async ({ model, subzero, scorer }) => {
      subzero.beginStep(0);
      const whole = await scorer.score(examples, subzero.perturb(0));
      for (const maxRows of [64, 100, 4 * 37]) {
        const small = new Scorer(model, maxRows);
        expectSameScores(await small.score(examples, subzero.perturb(0)), whole);
        expect(small.rows).toBe(scorer.rows);
        small.destroy();
      }
    });
  });

  test('a packed batch is one example at a time, in any order', async () => {
    for (const model of ['llama-tiny', 'mistral-tiny', 'qwen3-tiny', 'opt-postln-tiny']) {
      await withSession(gpu, { ...settings, model }, async ({ subzero, scorer }) => {
        subzero.beginStep(0);
        const packed = await scorer.score(examples, subzero.perturb(0));
        for (const [index, example] of examples.entries()) {
          const alone = await scorer.score([example], subzero.perturb(0));
          expectSameScores(
            alone,
            packed.map((list) => [list[index]!]),
          );
        }
        const backwards = await scorer.score([...examples].reverse(), subzero.perturb(0));
        expectSameScores(
          backwards.map((list) => [...list].reverse()),
          packed,
        );
      });
    }
  });

  test('200 probes in as many passes as they need are the 200 probes in one', async () => {
    const run = { ...settings, model: 'llama-tiny', queries: 100 };
    const whole = await withSession(gpu, run, async (session) => {
      const losses = await probe(session, batchOf(0), 0);
      expect(session.scorer.rows).toBeLessThanOrEqual(session.scorer.maxRows);
      return losses;
    });
    expect(new Set(whole).size).toBe(200);
    // From passes of many probes down to parts of the batch under one probe.
    for (const maxRows of [1500, 130, 40]) {
      await withSession(gpu, { ...run, maxRows }, async (session) => {
        const losses = await probe(session, batchOf(0), 0);
        for (const [index, loss] of losses.entries()) expect(Math.abs(loss - whole[index]!)).toBeLessThan(cutTolerance);
        expect(session.optimizer.measure(losses, 0).projectedGradients).toHaveLength(100);
      });
    }
  });

  test('an example that does not fit is refused, and the device goes on working', async () => {
    const long = optionsExample(
      Array.from({ length: 30 }, (_, index) => index),
      [[1], [2]],
      0,
    );
    await withSession(gpu, { ...settings, model: 'llama-tiny', maxRows: 16 }, async (session) => {
      await expect(probe(session, [long], 0)).rejects.toMatchObject({
        code: 'out_of_memory',
        message: expect.stringMatching(/one example needs \d+ rows; at most 16 rows fit/),
      });
    });
    // The step's kernels were recorded already, and their buffers are gone now.
    await withSession(gpu, { ...settings, model: 'llama-tiny' }, (session) => runLive(session, 1));
  });
});

describe('the estimator', () => {
  test('swapping +ε and −ε changes the sign of ρ and nothing else', async () => {
    await withSession(gpu, { ...settings, model: 'llama-tiny', queries: 2 }, async (session) => {
      await runLive(session, 2);
      const losses = await probe(session, batchOf(2), 2);
      const swapped = losses.map((_, index) => losses[index ^ 1]!);
      const rho = gradientsOf(losses, session.configuration);
      expect(gradientsOf(swapped, session.configuration)).toEqual(rho.map((value) => -value));
      expect(rho.every((value) => value !== 0)).toBe(true);
      // A run with the negative ε asks for the same points in the other order.
      const { subzero, scorer } = session;
      const plus = subzero.perturb(2);
      const sizes = plus.stateStride * 4;
      const exchanged = gpu.allocate(sizes * plus.count, 'state', 'exchanged probes');
      for (let index = 0; index < plus.count; index++) {
        gpu.recorder.copy(plus.state, index * sizes, exchanged, (index ^ 1) * sizes, sizes);
      }
      const scores = await scorer.score(batchOf(2), { ...plus, state: exchanged });
      for (const [index, list] of scores.entries()) {
        expect(Math.abs(batchLoss(batchOf(2), list).loss - swapped[index]!)).toBeLessThan(cutTolerance);
      }
      exchanged.destroy();
    });
  });

  test('projected gradients by their definition, rounded to f32', () => {
    const configuration = { epsilon: 0.5, queries: 2 } as Session['configuration'];
    expect(gradientsOf([3, 1, 2, 2.5], { ...configuration, sides: 2 })).toEqual([2, -0.5]);
    expect(gradientsOf([1, 1.25, 0.75], { ...configuration, sides: 1 })).toEqual([0.5, -0.5]);
    const [rho] = gradientsOf([1.1, 1], { ...configuration, queries: 1, sides: 2 });
    expect(rho).toBe(Math.fround((1.1 - 1) / 1));
  });

  test.each([
    { name: 'as they are', rank: 4, model: 'llama-tiny' },
    { name: 'odd rank', rank: 7, model: 'llama-tiny' },
    { name: 'larger than every side', rank: 200, model: 'llama-tiny' },
    { name: 'with projections of the embedding', rank: 12, model: 'opt-postln-tiny' },
    { name: 'without norm alignment', rank: 5, model: 'opt-tiny', normAlignment: false },
  ])('factors are orthonormal and perturbations are μ U Z Vᵀ: $name', async ({ name: _, ...variant }) => {
    await withSession(gpu, { ...settings, ...variant }, async ({ model, subzero, configuration }) => {
      subzero.beginStep(0);
      const probes = subzero.perturb(0);
      const [data] = await gpu.recorder.read([{ buffer: probes.state, bytes: probes.stateStride * 4 * 2 }]);
      const perturbed = new Float32Array(data!);
      let seen = 0;
      for await (const { weight, rank, scale, u, s, v } of subzero.factors()) {
        seen++;
        expect(rank).toBe(Math.min(variant.rank, weight.rows, weight.columns));
        expect(scale).toBe(configuration.normAlignment ? Math.sqrt(weight.rows * weight.columns) / rank : 1);
        expect(u.length).toBe(weight.rows * rank);
        expect(v.length).toBe(weight.columns * rank);
        for (const [factor, rows] of [
          [u, weight.rows],
          [v, weight.columns],
        ] as const) {
          for (let a = 0; a < rank; a++) {
            for (let b = 0; b <= a; b++) {
              let product = 0;
              for (let i = 0; i < rows; i++) product += factor[i * rank + a]! * factor[i * rank + b]!;
              expect(Math.abs(product - (a === b ? 1 : 0)), `${weight.name} ${a} ${b}`).toBeLessThan(1e-5);
            }
          }
        }
        expect(s.every((value) => value === 0)).toBe(true);
        const { stateOffset } = probes.factors.get(weight.name)!;
        const z = gaussian(
          configuration.seed,
          { tensor: tensorId(weight.name), step: 0, purpose: purposes.dense, query: 0 },
          rank * rank,
        );
        for (const [index, sign] of [1, -1].entries()) {
          const start = index * probes.stateStride + stateOffset;
          const expected = z.map((value) => sign * configuration.epsilon * value);
          expect(relativeError(perturbed.subarray(start, start + rank * rank), expected)).toBeLessThan(1e-5);
        }
      }
      expect(seen).toBe(model.weights.size);
    });
  });

  test('a tied head trains once and moves with the embedding', async () => {
    await withSession(gpu, { ...settings, model: 'llama-tiny' }, async ({ model, subzero }) => {
      subzero.beginStep(0);
      const names: string[] = [];
      for await (const { weight } of subzero.factors()) names.push(weight.name);
      expect(model.decoder.head.tied).toBe(true);
      expect(names).toContain('model.embed_tokens.weight');
      expect(names).not.toContain('lm_head.weight');
    });
    await withSession(gpu, { ...settings, model: 'llama-tiny-f16' }, async ({ subzero }) => {
      subzero.beginStep(0);
      const names: string[] = [];
      for await (const { weight } of subzero.factors()) names.push(weight.name);
      expect(names).toContain('model.embed_tokens.weight');
      expect(names).toContain('lm_head.weight');
    });
  });
});

describe('updates', () => {
  test('W ← (1 − ηλ)W − ηρZ̃ by its definition in float64, over a refresh; 1-D parameters do not decay', async () => {
    const run = { ...settings, model: 'opt-tiny-f32', refresh: 2, queries: 2, weightDecay: 0.5 };
    const journal: AppliedStep[] = [
      { step: 0, learningRate: Math.fround(2e-2), projectedGradients: [1.5, -0.25] },
      { step: 1, learningRate: Math.fround(1e-2), projectedGradients: [-0.75, 2] },
      { step: 2, learningRate: Math.fround(3e-2), projectedGradients: [0.5, 0.25] },
    ];
    await withSession(gpu, run, async ({ model, subzero, configuration }) => {
      const expected = new Map<string, Float64Array>();
      for (const weight of model.weights.values()) {
        expected.set(weight.name, Float64Array.from(await weightValues(model, weight)));
      }
      for (const [name, values] of model.vectors) expected.set(name, Float64Array.from(values));
      for (const applied of journal) {
        await subzero.replay([applied]);
        const noise = (name: string, query: number, count: number) =>
          gaussian(
            configuration.seed,
            { tensor: tensorId(name), step: applied.step, purpose: purposes.dense, query },
            count,
          );
        for await (const { weight, rank, scale, u, v } of subzero.factors()) {
          let values = expected.get(weight.name)!;
          values = values.map((value) => (1 - applied.learningRate * configuration.weightDecay) * value);
          for (const [query, rho] of applied.projectedGradients.entries()) {
            const s = noise(weight.name, query, rank * rank).map((z) => (-applied.learningRate * rho * z) / 2);
            values = withChange(values, { rank, scale, u, s, v }, [weight.rows, weight.columns]);
          }
          expected.set(weight.name, values);
        }
        for (const name of model.vectors.keys()) {
          const values = expected.get(name)!;
          for (const [query, rho] of applied.projectedGradients.entries()) {
            const z = noise(name, query, values.length);
            for (let i = 0; i < values.length; i++) values[i]! -= (applied.learningRate * rho * z[i]!) / 2;
          }
        }
      }
      const actual = await effectiveParameters(model, subzero);
      for (const [name, values] of expected) {
        expect(relativeError(actual.get(name)!, values), name).toBeLessThan(1e-6);
      }
      // The forward pass sees the same weights: an f32 model of the merged values scores alike.
      subzero.foldAll();
      for (const weight of model.weights.values()) {
        expect(relativeError(await weightValues(model, weight), expected.get(weight.name)!)).toBeLessThan(1e-6);
      }
    });
  });

  test('a decay far below the f32 spacing at 1 still adds up', async () => {
    const run = { ...settings, model: 'llama-tiny', refresh: 10_000, weightDecay: 0.1 };
    await withSession(gpu, run, async ({ model, subzero }) => {
      const name = 'model.layers.0.mlp.up_proj.weight';
      const before = await weightValues(model, model.weights.get(name)!);
      const learningRate = Math.fround(2e-7); // 2e-8 a step, 1e-4 in all
      await subzero.replay(
        Array.from({ length: 5000 }, (_, step) => ({ step, learningRate, projectedGradients: [0] })),
      );
      subzero.foldAll();
      const after = await weightValues(model, model.weights.get(name)!);
      const expected = Float64Array.from(before, (value) => value * (1 - learningRate * 0.1) ** 5000);
      expect(relativeError(after, expected)).toBeLessThan(2e-7);
      expect(relativeError(after, before)).toBeGreaterThan(9e-5);
    });
  });

  test('the forward pass with S, scale and decay open equals the one after folding', async () => {
    for (const model of ['llama-tiny', 'opt-tiny-f32', 'opt-postln-tiny', 'mistral-tiny']) {
      const run = { ...settings, model, rank: 6, refresh: 100, weightDecay: 1, learningRate: 1e-2 };
      await withSession(gpu, run, async ({ model, subzero, scorer }) => {
        const plain = await scorer.score(examples, model.plainProbes);
        await subzero.replay(
          [0.6, -0.4].map((rho, step) => ({ step, learningRate: Math.fround(1e-2), projectedGradients: [rho] })),
        );
        const open = await scorer.score(examples, subzero.current);
        subzero.foldAll();
        const folded = await scorer.score(examples, subzero.current);
        const flat = (scores: typeof open) => scores[0]!.flatMap(({ logprobs }) => logprobs);
        expect(relativeError(flat(folded), flat(open))).toBeLessThan(2e-6);
        expect(relativeError(flat(plain), flat(open))).toBeGreaterThan(1e-3);
      });
    }
  });

  test('16-bit storage is rounded stochastically: the mean change is exact where weights can only jump', async () => {
    for (const storage of ['f16', 'bf16'] as const) {
      await withSession(
        gpu,
        { ...settings, model: 'llama-tiny', storage, rank: 1, seed: 9 },
        async ({ model, subzero }) => {
          const name = 'model.embed_tokens.weight';
          const weight = model.weights.get(name)!;
          const before = await weightValues(model, weight);
          // About 1e-6 a weight, far below half a unit in the last place of nearly all of them.
          await subzero.replay([{ step: 0, learningRate: Math.fround(1e-6), projectedGradients: [1] }]);
          const wanted = (await effectiveParameters(model, subzero)).get(name)!;
          subzero.foldAll();
          const after = await weightValues(model, weight);
          let change = 0;
          let variance = 0;
          let moved = 0;
          for (let i = 0; i < wanted.length; i++) {
            const exact = wanted[i]! - before[i]!;
            change += (after[i]! - before[i]! - exact) * Math.sign(exact);
            variance += (after[i]! - before[i]! - exact) ** 2;
            if (after[i] !== before[i]) moved++;
          }
          expect(moved).toBeGreaterThan(10);
          expect(moved).toBeLessThan(wanted.length / 2);
          // A sum of independent errors of mean zero: within 4 standard deviations (seed fixed).
          expect(Math.abs(change)).toBeLessThan(4 * Math.sqrt(variance));
          const drift = wanted.reduce((sum, value, i) => sum + Math.abs(value - before[i]!), 0);
          expect(Math.abs(change)).toBeLessThan(drift);
        },
      );
    }
  });
});

describe('memory', () => {
  test('factorBytes counts U, V and state; everything is given back', async () => {
    const before = gpu.memory.report().liveBytes;
    await withSession(gpu, { ...settings, model: 'llama-tiny' }, async (session) => {
      await runLive(session, 2);
      const live = gpu.memory.report().liveBytes;
      const padded = 4;
      let factors = 0;
      for (const { rows, columns } of session.model.weights.values()) factors += (rows + columns) * padded * 4;
      expect(session.subzero.factorBytes).toBeGreaterThan(factors);
      for (let step = 2; step < 8; step++) await liveStep(session, batchOf(step), step);
      expect(gpu.memory.report().liveBytes).toBe(live);
    });
    expect(gpu.memory.report().liveBytes).toBeLessThanOrEqual(before + 65_536);
  });
});
