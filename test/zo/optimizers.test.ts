/**
 * What every optimiser promises beyond being right: the same bits again, weights that an evaluation leaves alone, the
 * same numbers however the work is cut. SubZero's own tests are in subzero.test.ts.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { gaussian, purposes, tensorId } from '../../src/random/philox.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import { Scorer } from '../../src/train/score.ts';
import { createOptimizer } from '../../src/zo/create-optimizer.ts';
import type { Mezo } from '../../src/zo/mezo.ts';
import type { AppliedStep } from '../../src/zo/optimizer.ts';
import { measure, probePoints } from '../../src/zo/probe-points.ts';
import { relativeError } from '../support/zo/compare.ts';
import { goldenExamples, readGolden } from '../support/zo/golden.ts';
import { liveStep, probe } from '../support/zo/live.ts';
import { type Session, type SessionSettings, withOptimizer } from '../support/zo/session.ts';
import { currentParameters, curvatures, snapshot, weightValues } from '../support/zo/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const examples = goldenExamples(readGolden('llama-central'));

/** A batch that differs from step to step. */
const batchOf = (step: number) => [0, 1, 2].map((offset) => examples[(3 * step + offset) % examples.length]!);

const common = { seed: 2 ** 40 + 5, learningRate: 1e-3, epsilon: 1e-3, rank: 4, refresh: 3 };
const steps = 7;

const variants: (SessionSettings & { optimizer: string })[] = [
  { optimizer: 'mezo', model: 'llama-tiny', storage: 'f32' },
  { optimizer: 'mezo', model: 'opt-tiny', storage: 'f16', queries: 3, sides: 1, weightDecay: 0.1 },
  { optimizer: 'mezo', model: 'opt-postln-tiny', storage: 'bf16' },
  { optimizer: 'mezo', mezoUpdate: 'momentum', model: 'opt-tiny', storage: 'bf16', weightDecay: 0.1 },
  { optimizer: 'mezo', mezoUpdate: 'adam', model: 'llama-tiny', storage: 'f32', queries: 2 },
  { optimizer: 'sparse-mezo', model: 'llama-tiny', storage: 'bf16', sparsity: 0.6, sides: 1 },
  { optimizer: 'sparse-mezo', model: 'qwen3-tiny', storage: 'f32', queries: 2 },
  { optimizer: 'hizoo', model: 'llama-tiny-f16', storage: 'f16', queries: 2, hessianSmoothing: 1e-3 },
  { optimizer: 'hizoo', model: 'opt-tiny', storage: 'f32', hessianSmoothing: 1e-3 },
  { optimizer: 'subzero-plus', model: 'llama-tiny', storage: 'f32', queries: 4 },
  { optimizer: 'subzero-plus', model: 'opt-tiny', storage: 'bf16', queries: 4, weightDecay: 0.1 },
  { optimizer: 'mezo', mezoUpdate: 'adam', model: 'opt-odd-tiny', storage: 'f16' },
  { optimizer: 'sparse-mezo', model: 'opt-odd-tiny', storage: 'f32' },
  { optimizer: 'hizoo', model: 'opt-odd-tiny', storage: 'bf16', hessianSmoothing: 1e-3 },
  { optimizer: 'subzero-plus', model: 'qwen3-odd-tiny', storage: 'bf16', queries: 4 },
];
const named = variants.map((variant) => {
  const { optimizer, mezoUpdate, model, storage, queries = 1, sides } = variant;
  const resolved = resolveConfiguration({ optimizer, queries, ...(sides ? { sides } : {}) });
  const name =
    `${[optimizer, mezoUpdate].filter(Boolean).join(' ')}, ${queries} × ${resolved.sides} sides, ` +
    `${model} in ${storage}`;
  return { name, run: { ...common, ...variant } };
});

async function runLive(session: Session, from: number, to: number): Promise<AppliedStep[]> {
  const journal: AppliedStep[] = [];
  for (let step = from; step < to; step++) journal.push((await liveStep(session, batchOf(step), step)).applied);
  return journal;
}

const stateOf = ({ model, optimizer }: Session) => snapshot(model, optimizer);

describe.each(named)('$name', ({ run }) => {
  test('a second run and a replay make the same bits, also one that is gone on with', async () => {
    const fresh = await withOptimizer(gpu, run, stateOf);
    const live = await withOptimizer(gpu, run, async (session) => {
      const journal = await runLive(session, 0, steps);
      const state = await stateOf(session);
      session.optimizer.foldAll();
      return { journal, state, folded: await stateOf(session) };
    });
    // Without that, equal bits would say nothing.
    for (const [name, bits] of Object.entries(live.folded)) {
      if (!name.endsWith(' S')) expect(bits, name).not.toBe(fresh[name]);
    }
    await withOptimizer(gpu, run, async (session) => {
      expect(await runLive(session, 0, steps)).toEqual(live.journal);
      expect(await stateOf(session)).toEqual(live.state);
    });
    await withOptimizer(gpu, run, async (session) => {
      // A journal survives JSON, and a replay in pieces is the replay in one.
      const journal = JSON.parse(JSON.stringify(live.journal)) as AppliedStep[];
      await session.optimizer.replay(journal.slice(0, 1));
      await session.optimizer.replay(journal.slice(1));
      expect(await stateOf(session)).toEqual(live.state);
      session.optimizer.foldAll();
      expect(await stateOf(session)).toEqual(live.folded);
    });
    await withOptimizer(gpu, run, async (session) => {
      await session.optimizer.replay(live.journal.slice(0, 4));
      expect(await runLive(session, 4, steps)).toEqual(live.journal.slice(4));
      expect(await stateOf(session)).toEqual(live.state);
    });
  });

  test('an evaluation leaves no trace', () =>
    withOptimizer(gpu, run, async (session) => {
      await runLive(session, 0, 2);
      const before = await stateOf(session);
      const first = await probe(session, batchOf(2), 2);
      expect(await probe(session, batchOf(2), 2)).toEqual(first);
      await session.scorer.score(batchOf(2), session.optimizer.current);
      expect(await stateOf(session)).toEqual(before);
    }));

  test('the unperturbed probe is the model as it stands', () =>
    withOptimizer(gpu, run, async (session) => {
      await runLive(session, 0, 2);
      const { optimizer, scorer, configuration } = session;
      if (probePoints(configuration)[0]!.scale !== 0) {
        expect(configuration.sides).toBe(2);
        return;
      }
      optimizer.beginStep(2);
      const [centre] = await scorer.score(batchOf(2), optimizer.perturb(2, 0, 1));
      const [current] = await scorer.score(batchOf(2), optimizer.current);
      const flat = (list: typeof centre) => list!.flatMap(({ logprobs }) => logprobs);
      expect(relativeError(flat(centre), flat(current))).toBeLessThan(1e-6);
    }));

  test('all probes in one pass are the probes one by one, in passes of any size', () =>
    withOptimizer(gpu, run, async (session) => {
      const { model, optimizer } = session;
      await runLive(session, 0, 1);
      const together = await probe(session, batchOf(1), 1);
      expect(together).toHaveLength(optimizer.probeCount);
      expect(new Set(together).size).toBe(together.length);
      // Rows for one probe are about 60: one or two probes a pass, then parts of the batch, then one example at a time.
      for (const maxRows of [130, 70, 40]) {
        const scorer = new Scorer(model, maxRows);
        const apart = await probe({ ...session, scorer }, batchOf(1), 1);
        scorer.destroy();
        for (const [index, loss] of together.entries()) expect(Math.abs(apart[index]! - loss)).toBeLessThan(3e-6);
      }
    }));

  test('−ε asks for the same points in the other order, and ρ changes its sign', async () => {
    const losses = await withOptimizer(gpu, run, (session) => probe(session, batchOf(0), 0));
    await withOptimizer(gpu, run, async (session) => {
      const configuration = { ...session.configuration, epsilon: -session.configuration.epsilon };
      if (configuration.sides === 1) return expect(configuration.sides).toBe(run.sides ?? 1);
      const optimizer = await createOptimizer(session.model, configuration);
      const mirrored = await probe({ ...session, optimizer }, batchOf(0), 0);
      optimizer.destroy();
      const first = losses.length % 2;
      const exchanged = losses.map((_, index) => losses[index < first ? index : ((index - first) ^ 1) + first]!);
      expect(mirrored).toEqual(exchanged);
      const [rho, other] = [measure(losses, session.configuration), measure(exchanged, session.configuration)];
      expect(other.projectedGradients).toEqual(rho.projectedGradients.map((value) => -value));
      expect(other.curvatures).toEqual(rho.curvatures);
      expect(rho.projectedGradients.every((value) => value !== 0)).toBe(true);
    });
  });

  test('everything is given back, and a step takes no more than the one before', async () => {
    const before = gpu.memory.report().liveBytes;
    await withOptimizer(gpu, run, async (session) => {
      await runLive(session, 0, 3);
      const live = gpu.memory.report().liveBytes;
      await runLive(session, 3, 5);
      expect(gpu.memory.report().liveBytes).toBe(live);
      expect(session.optimizer.factorBytes).toBeGreaterThan(0);
      expect(session.optimizer.factorBytes).toBeLessThan(live - before);
    });
    expect(gpu.memory.report().liveBytes).toBeLessThanOrEqual(before + 65_536);
  });
});

describe('where one binding holds neither a weight nor the states of all probes', () => {
  let tiny: Gpu;
  beforeAll(async () => {
    tiny = await Gpu.open({ maxStorageBufferBindingSize: 16_384 });
  });
  afterAll(() => tiny.close());

  test.each([
    { optimizer: 'mezo', queries: 5 },
    // Its moments, in f32, are split in other places than the weights; so is the H of HiZOO.
    { optimizer: 'mezo', queries: 5, mezoUpdate: 'adam', storage: 'bf16' },
    { optimizer: 'sparse-mezo', queries: 5 },
    { optimizer: 'hizoo', queries: 3, storage: 'bf16', hessianSmoothing: 1e-3 },
    // The state of a probe must fit.
    { optimizer: 'subzero-plus', queries: 9, parameters: ['!*norm*'] },
  ] as const)('$optimizer: the same run', async (settings) => {
    const run = { ...common, model: 'llama-tiny', ...settings };
    const one = [examples[0]!];
    const results = await Promise.all(
      [gpu, tiny].map((device) =>
        withOptimizer(device, run, async (session) => {
          const { model, optimizer } = session;
          // Parts of H and moments, which are f32, or of weights where those are f32.
          const parts = Math.max(
            ...[...model.weights.values()].map(({ rows, columns }) => (rows * columns * 4) / device.bindingLimit),
          );
          const losses: number[] = [];
          for (let step = 0; step < 4; step++) {
            // The same ρ on both, so that they stay together.
            const values = Array.from({ length: run.queries }, (_, query) => Math.fround(Math.sin(step + query)));
            const forced = {
              projectedGradients: values,
              ...(run.optimizer === 'hizoo' ? { curvatures: values.map(Math.abs) } : {}),
            };
            losses.push(...(await liveStep(session, one, step, forced)).losses);
          }
          return {
            parts,
            losses,
            atOnce: optimizer.probesAtOnce,
            count: optimizer.probeCount,
            values: await currentParameters(model, optimizer),
          };
        }),
      ),
    );
    const [whole, split] = results as [(typeof results)[0], (typeof results)[0]];
    expect(split.parts).toBeGreaterThan(1);
    expect(whole.parts).toBeLessThan(1);
    expect(split.atOnce).toBeLessThan(split.count);
    expect(whole.atOnce).toBe(whole.count);
    for (const [index, loss] of whole.losses.entries())
      expect(Math.abs(split.losses[index]! - loss)).toBeLessThan(3e-6);
    for (const [name, values] of whole.values)
      expect(relativeError(split.values.get(name)!, values), name).toBeLessThan(1e-6);
  });
});

describe('MeZO', () => {
  test('an update by its definition in float64', () =>
    withOptimizer(
      gpu,
      { ...common, optimizer: 'mezo', model: 'opt-tiny-f32', queries: 2, weightDecay: 0.5 },
      async ({ model, optimizer, configuration: { seed } }) => {
        const applied = { step: 9, learningRate: Math.fround(2e-2), projectedGradients: [1.5, -0.25] };
        const before = await currentParameters(model, optimizer);
        optimizer.update(applied);
        for (const [name, values] of await currentParameters(model, optimizer)) {
          const decay = model.weights.has(name) ? applied.learningRate * 0.5 : 0;
          const expected = Float64Array.from(before.get(name)!, (value) => value * (1 - decay));
          for (const [query, rho] of applied.projectedGradients.entries()) {
            const z = gaussian(
              seed,
              { tensor: tensorId(name), step: 9, purpose: purposes.dense, query },
              expected.length,
            );
            for (let i = 0; i < expected.length; i++) expected[i]! -= (applied.learningRate * rho * z[i]!) / 2;
          }
          expect(relativeError(values, expected), name).toBeLessThan(1e-6);
        }
      },
    ));

  test.each(['f16', 'bf16'] as const)('%s is rounded stochastically: steps far below its spacing add up', (storage) =>
    withOptimizer(
      gpu,
      { ...common, optimizer: 'mezo', model: 'llama-tiny', storage },
      async ({ model, optimizer, configuration: { seed } }) => {
        const name = 'model.embed_tokens.weight';
        const weight = model.weights.get(name)!;
        const before = await weightValues(model, weight);
        // A hundred steps of about 3e-6 a weight: rounding to nearest would leave all but the smallest weights where
        // they are.
        const journal = Array.from({ length: 100 }, (_, step) => {
          return { step, learningRate: Math.fround(3e-6), projectedGradients: [1] };
        });
        await optimizer.replay(journal);
        const after = await weightValues(model, weight);
        const wanted = new Float64Array(before.length);
        for (const { step, learningRate } of journal) {
          const z = gaussian(seed, { tensor: tensorId(name), step, purpose: purposes.dense, query: 0 }, before.length);
          for (let i = 0; i < wanted.length; i++) wanted[i]! -= learningRate * z[i]!;
        }
        let along = 0;
        let size = 0;
        let noise = 0;
        for (let i = 0; i < wanted.length; i++) {
          const moved = after[i]! - before[i]!;
          along += moved * wanted[i]!;
          size += wanted[i]! ** 2;
          noise += ((moved - wanted[i]!) * wanted[i]!) ** 2;
        }
        // The mean is exact: within 4 standard deviations of independent errors (the seed is fixed), which are far from
        // the whole.
        expect(Math.abs(along - size)).toBeLessThan(4 * Math.sqrt(noise));
        expect(4 * Math.sqrt(noise)).toBeLessThan(size);
      },
    ),
  );
});

describe('Sparse MeZO', () => {
  test.each(['f32', 'f16'] as const)('%s: only the smaller weights of every tensor move, decay included', (storage) =>
    withOptimizer(
      gpu,
      { ...common, optimizer: 'sparse-mezo', model: 'llama-tiny', storage, sparsity: 0.7, weightDecay: 0.5 },
      async ({ model, optimizer }) => {
        const { tensors } = optimizer.perturb(0).dense!;
        const before = await currentParameters(model, optimizer);
        // A step that every storage type sees.
        optimizer.update({ step: 0, learningRate: Math.fround(1e-2), projectedGradients: [1] });
        const after = await currentParameters(model, optimizer);
        for (const [name, values] of before) {
          const magnitudes = Float64Array.from(values, Math.abs).sort();
          const trained = Math.round(values.length * 0.3);
          const threshold = magnitudes[trained - 1]!;
          if (model.weights.has(name)) expect(tensors.get(name)!.threshold, name).toBe(threshold);
          let moved = 0;
          for (let i = 0; i < values.length; i++) {
            const changed = after.get(name)![i] !== values[i];
            if (changed) moved++;
            if (Math.abs(values[i]!) > threshold) expect(changed, `${name} ${i}`).toBe(false);
          }
          // Ties at the threshold are in the mask, and a few of the others happen to round to where they were.
          expect(moved, name).toBeGreaterThan(trained * 0.95);
        }
      },
    ),
  );

  test('a weight that grows beyond the threshold stays where it is from then on', () =>
    withOptimizer(gpu, { ...common, optimizer: 'sparse-mezo', model: 'llama-tiny' }, async ({ model, optimizer }) => {
      const weight = [...model.weights.values()].find(({ name }) => name.endsWith('up_proj.weight'))!;
      const { threshold } = optimizer.perturb(0).dense!.tensors.get(weight.name)!;
      const large = (step: number): AppliedStep => ({ step, learningRate: 1, projectedGradients: [threshold] });
      const before = await weightValues(model, weight);
      await optimizer.replay([large(0)]);
      const after = await weightValues(model, weight);
      await optimizer.replay([large(1)]);
      const last = await weightValues(model, weight);
      let grown = 0;
      let moved = 0;
      for (const [i, value] of after.entries()) {
        if (value !== before[i] && Math.abs(value) > threshold) grown++;
        if (Math.abs(value) > threshold) expect(last[i]).toBe(value);
        else if (last[i] !== value) moved++;
      }
      expect(grown).toBeGreaterThan(50);
      expect(moved).toBeGreaterThan(50);
    }));
});

describe('HiZOO', () => {
  test('a curvature that an f32 near 1 could not take adds up', () =>
    withOptimizer(
      gpu,
      { ...common, optimizer: 'hizoo', model: 'llama-tiny', hessianSmoothing: 1e-8, queries: 2 },
      async ({ optimizer, configuration: { seed } }) => {
        const journal = Array.from({ length: 300 }, (_, step) => {
          return { step, learningRate: 0, projectedGradients: [0, 0], curvatures: [1.5, 0.25] };
        });
        await optimizer.replay(journal);
        const logs = await (optimizer as Mezo).logCurvatures();
        for (const name of ['model.layers.0.mlp.up_proj.weight', 'model.norm.weight']) {
          const actual = logs.get(name)!;
          const expected = new Float64Array(actual.length);
          for (const { step, curvatures } of journal) {
            const squares = new Float64Array(actual.length);
            for (const [query, curvature] of curvatures.entries()) {
              const z = gaussian(seed, { tensor: tensorId(name), step, purpose: purposes.dense, query }, actual.length);
              for (let i = 0; i < z.length; i++) squares[i]! += (curvature * z[i]! ** 2) / 2;
            }
            for (let i = 0; i < squares.length; i++) expected[i]! += Math.log1p(1e-8 * (squares[i]! - 1));
          }
          expect(relativeError(actual, expected), name).toBeLessThan(1e-5);
          // The whole change of 300 steps is about one f32 spacing at 1.
          expect(Math.max(...expected.map(Math.abs))).toBeLessThan(1e-5);
        }
      },
    ));

  test('strong curvature and none, by the definition', () =>
    withOptimizer(
      gpu,
      { ...common, optimizer: 'hizoo', model: 'opt-tiny', hessianSmoothing: 0.9 },
      async ({ optimizer, configuration: { seed } }) => {
        const wanted = [1e4, 0, 3, 0];
        await optimizer.replay(
          wanted.map((curvature, step) => {
            return { step, learningRate: 0, projectedGradients: [0], curvatures: [curvature] };
          }),
        );
        for (const [name, actual] of await curvatures(optimizer)) {
          const expected = new Float64Array(actual.length).fill(1);
          for (const [step, curvature] of wanted.entries()) {
            const z = gaussian(
              seed,
              { tensor: tensorId(name), step, purpose: purposes.dense, query: 0 },
              actual.length,
            );
            for (let i = 0; i < z.length; i++) expected[i]! *= 0.1 + 0.9 * curvature * z[i]! ** 2;
          }
          expect(relativeError(actual.map(Math.log), expected.map(Math.log)), name).toBeLessThan(1e-5);
        }
      },
    ));

  test('needs both sides', () => {
    expect(() => resolveConfiguration({ optimizer: 'hizoo', sides: 1 })).toThrow(SubzeroError);
    expect(
      probePoints(resolveConfiguration({ optimizer: 'hizoo', queries: 2 })).map(({ scale }) => Math.sign(scale)),
    ).toEqual([0, 1, -1, 1, -1]);
  });
});

describe('SubZero+', () => {
  test('has the published settings where none are given', () => {
    const configuration = resolveConfiguration({ optimizer: 'subzero-plus' });
    expect(configuration).toMatchObject({
      queries: 99,
      sides: 1,
      refresh: 50,
      steps: 400,
      adamBeta1: 0.9,
      adamBeta2: 0.95,
    });
    expect(probePoints(configuration)).toHaveLength(100);
    expect(resolveConfiguration({ optimizer: 'subzero-plus', queries: 3, sides: 2 })).toMatchObject({
      queries: 3,
      sides: 2,
    });
  });

  test('its first step of a period has the same length in W with and without norm alignment', async () => {
    const moves = await Promise.all(
      [true, false].map((normAlignment) =>
        withOptimizer(
          gpu,
          { ...common, optimizer: 'subzero-plus', model: 'llama-tiny', queries: 1, normAlignment },
          async ({ model, optimizer }) => {
            const before = await currentParameters(model, optimizer);
            await optimizer.replay([{ step: 0, learningRate: Math.fround(1e-2), projectedGradients: [0.5] }]);
            const after = await currentParameters(model, optimizer);
            return [...model.weights.keys()].map((name) => {
              const difference = Float64Array.from(after.get(name)!, (value, i) => value - before.get(name)![i]!);
              return Math.hypot(...difference);
            });
          },
        ),
      ),
    );
    // Adam's first step is ±η in each of the r² coefficients of an orthonormal basis.
    for (const [index, length] of moves[0]!.entries()) {
      expect(length).toBeCloseTo(4e-2, 6);
      expect(moves[1]![index]).toBeCloseTo(4e-2, 6);
    }
  });
});
