/** Runs whose change lies beside the weights: on bases that cannot be written, and on others. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { leadingTokens, withLeading } from '../../src/model/virtual-tokens.ts';
import { batchLoss } from '../../src/objectives/loss.ts';
import { f16ToF32, f32ToF16 } from '../../src/safetensors/convert.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { shapeOf } from '../../src/tensor/weight.ts';
import { balanced } from '../../src/zo/low-rank.ts';
import type { AppliedStep } from '../../src/zo/optimizer.ts';
import { withSeed } from '../support/random.ts';
import { relativeError } from '../support/zo/compare.ts';
import { optionLoss64 } from '../support/zo/float64-decoder.ts';
import { optionsExample } from '../support/zo/golden.ts';
import { liveStep } from '../support/zo/live.ts';
import { type RandomModel, writeRandomModel } from '../support/zo/random-model.ts';
import { type SubZeroSession as Session, withOptimizer, withSession } from '../support/zo/session.ts';
import {
  effectiveParameters,
  modelBytes,
  snapshot,
  weightValues,
  withBank,
  withChange,
} from '../support/zo/weights.ts';

let gpu: Gpu;
let base: RandomModel;
let odd: RandomModel;
beforeAll(async () => {
  gpu = await Gpu.open();
  await withSeed('bank', async (random) => {
    // Rows of whole blocks everywhere, more than one of them in some.
    base = await writeRandomModel(random, {
      vocab_size: 67,
      hidden_size: 64,
      intermediate_size: 128,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 16,
      tie_word_embeddings: true,
    });
    // Widths that 4 does not divide, of heads too.
    odd = await writeRandomModel(random, {
      vocab_size: 67,
      hidden_size: 30,
      intermediate_size: 45,
      num_hidden_layers: 2,
      num_attention_heads: 3,
      num_key_value_heads: 1,
      head_dim: 10,
      tie_word_embeddings: true,
    });
  });
});
afterAll(async () => {
  await base.remove();
  await odd.remove();
  gpu.close();
});

const examples = Array.from({ length: 6 }, (_, index) =>
  optionsExample(
    Array.from({ length: 5 + index }, (__, at) => (7 * at + 3 * index) % 67),
    [
      [11 + index, 4],
      [30, 8 + index],
    ],
    index % 2,
  ),
);
const batchOf = (step: number) => [0, 1, 2].map((offset) => examples[(3 * step + offset) % examples.length]!);

const settings = { rank: 4, refresh: 3, seed: 2 ** 33 + 7, learningRate: 3e-3, epsilon: 1e-2 };
const steps = 11;

async function runLive(session: Session): Promise<AppliedStep[]> {
  const journal: AppliedStep[] = [];
  for (let step = 0; step < steps; step++) journal.push((await liveStep(session, batchOf(step), step)).applied);
  return journal;
}

const lossOf = async ({ scorer }: Session, probes: Session['optimizer']['current']): Promise<number[]> =>
  (await scorer.score(examples, probes)).map((list) => batchLoss(examples, list).loss);

test.each([
  { storage: 'q8', bankStorage: 'f32' },
  { storage: 'q4', bankStorage: 'f16' },
  { storage: 'q8', bankStorage: 'f16', weightDecay: 1 },
] as const)('%o: every probe beside a bank is that of full matrices in float64', async (variant) => {
  await withSession(gpu, { ...settings, ...variant, model: base.directory, bankRank: 6 }, async (session) => {
    const { storage } = variant;
    const { model, subzero } = session;
    expect([...model.weights.values()].every((weight) => weight.storage === storage)).toBe(true);
    const stored = new Map(base.parameters);
    for (const weight of model.weights.values()) {
      stored.set(weight.name, Float64Array.from(await weightValues(model, weight)));
    }
    subzero.beginStep(0);
    const tolerance = 2e-5;
    const [before] = await lossOf(session, subzero.current);
    const expected = optionLoss64(model.decoder, stored, examples);
    expect(Math.abs(before! - expected)).toBeLessThan(tolerance);
    expect(expected).not.toBeCloseTo(optionLoss64(model.decoder, base.parameters, examples), 4);
    await runLive(session);
    const parameters = new Map([...stored, ...(await effectiveParameters(model, subzero))]);
    for (const [name, values] of parameters)
      expect(relativeError(values, stored.get(name)!), name).toBeGreaterThan(1e-5);
    const [loss] = await lossOf(session, subzero.current);
    expect(Math.abs(loss! - optionLoss64(model.decoder, parameters, examples))).toBeLessThan(tolerance);
    // Each probe with its own S.
    const probes = subzero.perturb(steps);
    const losses = await lossOf(session, probes);
    const [data] = await gpu.recorder.read([{ buffer: probes.state, bytes: probes.stateStride * probes.count * 4 }]);
    const states = new Float32Array(data!);
    for (const [probe, actual] of losses.entries()) {
      const state = states.subarray(probe * probes.stateStride, (probe + 1) * probes.stateStride);
      const perturbed = new Map(stored);
      for await (const factors of subzero.factors()) {
        const { weight, rank, s: own } = factors;
        const { stateOffset } = probes.factors.get(weight.name)!;
        const s = state.subarray(stateOffset, stateOffset + rank * rank).map((value, index) => value - own[index]!);
        const standing = (await withBank(subzero, weight, await weightValues(model, weight)))!;
        perturbed.set(weight.name, withChange(standing, { ...factors, s }, shapeOf(weight)));
      }
      for (const [name, offset] of probes.vectors) {
        perturbed.set(name, Float64Array.from(state.subarray(offset, offset + model.vectors.get(name)!.length)));
      }
      expect(Math.abs(actual - optionLoss64(model.decoder, perturbed, examples)), `probe ${probe}`).toBeLessThan(
        tolerance,
      );
    }
    expect(new Set(losses).size).toBe(2);
  });
});

test.each([
  { model: 'wide', bankStorage: 'f32', tolerance: 1e-3 },
  { model: 'wide', bankStorage: 'f32', weightDecay: 1, tolerance: 1e-3 },
  // 12 terms of f16, rounded once: U and V of the fold are f32.
  { model: 'wide', bankStorage: 'f16', tolerance: 3e-3 },
  { model: 'odd', bankStorage: 'f32', tolerance: 1e-3 },
  { model: 'odd', bankStorage: 'f16', weightDecay: 1, tolerance: 3e-3 },
] as const)('on f32 a bank that drops nothing is a fold, to rounding: %o', async ({ model, tolerance, ...variant }) => {
  const directory = model === 'wide' ? base.directory : odd.directory;
  const start = model === 'wide' ? base.parameters : odd.parameters;
  const of = (change: 'fold' | 'bank', journal?: AppliedStep[]) =>
    withSession(gpu, { ...settings, ...variant, model: directory, storage: 'f32', change }, async (session) => {
      const before = await modelBytes(session.model);
      const made = journal ?? (await runLive(session));
      if (journal) await session.subzero.replay(journal);
      const parameters = await effectiveParameters(session.model, session.subzero);
      const [loss] = await lossOf(session, session.subzero.current);
      const changed = [...(await modelBytes(session.model))].filter(
        ([name, bytes]) => !Buffer.from(bytes).equals(Buffer.from(before.get(name)!)),
      );
      return { made, parameters, loss: loss!, changed: changed.length, dropped: session.subzero.bankLoss };
    });
  const folded = await of('fold');
  const banked = await of('bank', folded.made);
  expect(folded.changed).toBeGreaterThan(0);
  expect(banked.changed).toBe(0);
  expect(folded.dropped).toBeUndefined();
  expect(banked.dropped!.droppedShare).toBeLessThan(1e-100);
  for (const [name, values] of folded.parameters) {
    const [change, other] = [values, banked.parameters.get(name)!].map((all) =>
      Float64Array.from(all, (value, index) => value - start.get(name)![index]!),
    );
    // Each fold rounds a weight to f32; the change itself is small beside it.
    expect(relativeError(other!, change!), name).toBeLessThan(tolerance);
    expect(relativeError(banked.parameters.get(name)!, values), name).toBeLessThan(
      Math.max(3e-7, tolerance * relativeError(start.get(name)!, values)),
    );
  }
  // Rounding of 2⁻¹² in each term of a change moves the loss by as much of what the change moved it.
  expect(Math.abs(banked.loss - folded.loss)).toBeLessThan(variant.bankStorage === 'f16' ? 3e-3 : 2e-5);
});

test('U and V of f16 are those of f32, rounded to the nearest', async () => {
  const drawn = (bankStorage: 'f16' | 'f32', model: string) =>
    withSession(gpu, { ...settings, model, storage: 'f32', change: 'bank', bankStorage }, async ({ subzero }) => {
      subzero.beginStep(0);
      const factors: Record<string, Float32Array> = {};
      for await (const { weight, u, v } of subzero.factors()) {
        Object.assign(factors, { [`${weight.name} U`]: u, [`${weight.name} V`]: v });
      }
      return factors;
    });
  for (const { directory } of [base, odd]) {
    const [exact, rounded] = [await drawn('f32', directory), await drawn('f16', directory)];
    for (const [name, values] of Object.entries(exact)) {
      expect(rounded[name], name).toEqual(f16ToF32(f32ToF16(values)));
      expect(rounded[name], name).not.toEqual(values);
    }
  }
});

test('both sides of a balanced product are equally large, and the product is the same', () =>
  withSeed('balanced', (random) => {
    const vector = (size: number, scale: number) => Float64Array.from(random.normals(size), (value) => scale * value);
    const left = [vector(5, 1e-9), vector(5, 3e4), vector(5, 0), vector(5, 1)];
    const right = [vector(7, 2), vector(7, 1e-3), vector(7, 1), vector(7, 0)];
    const terms = balanced({ left, right });
    const largest = (values: Float64Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const k of [0, 1]) {
      const ratio = largest(terms.left[k]!) / largest(terms.right[k]!);
      expect(Math.abs(Math.log2(ratio))).toBeLessThanOrEqual(2);
    }
    for (const k of left.keys()) {
      for (const i of left[k]!.keys()) {
        for (const j of right[k]!.keys())
          expect(terms.left[k]![i]! * terms.right[k]![j]!).toBe(left[k]![i]! * right[k]![j]!);
      }
    }
    expect(balanced(terms)).toEqual(terms);
  }));

describe('the same bits again, with periods compressed', () => {
  const variants: (Partial<TrainConfiguration> & { storage: 'q4' | 'q8' | 'f16' })[] = [
    { storage: 'q8', bankRank: 6 },
    { storage: 'f16', change: 'bank', bankRank: 3, queries: 2, weightDecay: 1 },
    { storage: 'q8', bankRank: 6, bankStorage: 'f32' },
    { storage: 'q4', optimizer: 'subzero-plus', bankRank: 9, queries: 2, sides: 1 },
  ];
  test.each(variants)('$storage, rank $bankRank, bank in $bankStorage', async (variant) => {
    const run = { ...settings, ...variant, model: base.directory };
    const live = await withSession(gpu, run, async (session) => {
      const journal = await runLive(session);
      return { journal, state: await snapshot(session.model, session.subzero), loss: session.subzero.bankLoss! };
    });
    expect(live.loss.droppedShare).toBeGreaterThan(0);
    expect(live.loss.droppedShare).toBeLessThan(2);
    // Before, at and behind the end of a period.
    for (const cuts of [[], [2], [3], [4, 9], [6, 10]]) {
      await withSession(gpu, run, async (session) => {
        let from = 0;
        for (const to of [...cuts, steps]) {
          await session.subzero.replay(live.journal.slice(from, to));
          from = to;
        }
        expect(await snapshot(session.model, session.subzero), `cut at ${cuts}`).toEqual(live.state);
        expect(session.subzero.bankLoss).toEqual(live.loss);
      });
    }
    // A run that is rebuilt at the end of a period and looks on.
    await withSession(gpu, run, async (session) => {
      await session.subzero.replay(live.journal.slice(0, 6));
      for (let step = 6; step < steps; step++) {
        expect((await liveStep(session, batchOf(step), step)).applied).toEqual(live.journal[step]);
      }
      expect(await snapshot(session.model, session.subzero)).toEqual(live.state);
    });
  });
});

describe('what cannot be is refused by name', () => {
  const attempt = async (partial: Partial<TrainConfiguration> & { storage: 'q8' | 'f32' }): Promise<string> => {
    const opened = withOptimizer(gpu, { ...settings, model: base.directory, ...partial }, async () => 'was opened');
    return opened.catch((error: Error) => error.message);
  };

  test.each([
    [
      { storage: 'q8', optimizer: 'mezo' },
      'mezo writes the weights at every step, and model.embed_tokens.weight is stored as q8, which cannot be ' +
        'written; use optimizer subzero or subzero-plus, scheme lora, prompt, prefix, or storage f16',
    ],
    [
      { storage: 'q8', change: 'fold' },
      'model.embed_tokens.weight is stored as q8, which cannot be written; use change bank',
    ],
  ] as const)('%o', async (partial, message) => {
    expect(await attempt(partial)).toContain(message);
  });

  test.each(['mezo', 'subzero', 'hizoo'] as const)(
    '%s trains what a scheme adds to weights of 8 bits',
    async (optimizer) => {
      for (const scheme of ['lora', 'prefix', 'prompt'] as const) {
        const run = { ...settings, optimizer, scheme, refresh: 2, model: base.directory, storage: 'q8' } as const;
        await withOptimizer(gpu, run, async (session) => {
          const before = await modelBytes(session.model);
          const start = await session.optimizer.adapterValues();
          const leading = leadingTokens(session.model, session.optimizer.current);
          for (let step = 0; step < 3; step++) await liveStep(session, withLeading(batchOf(step), leading), step);
          expect(await modelBytes(session.model)).toEqual(before);
          expect(await session.optimizer.adapterValues()).not.toEqual(start);
        });
      }
    },
  );
});
