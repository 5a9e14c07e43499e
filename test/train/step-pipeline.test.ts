/**
 * Evaluations that are recorded ahead: the bits of those that are not, for every optimiser, with evaluations and other
 * work in between.
 */

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Random } from '../../src/bench/random.ts';
import type { TokenizedExample } from '../../src/data/example.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { leadingTokens, withLeading } from '../../src/model/virtual-tokens.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { evaluate } from '../../src/train/evaluate.ts';
import { learningRateAt } from '../../src/train/schedule.ts';
import { StepPipeline } from '../../src/train/step-pipeline.ts';
import type { AppliedStep } from '../../src/zo/optimizer.ts';
import { withSeed } from '../support/random.ts';
import { optionsExample } from '../support/zo/golden.ts';
import { writeRandomModel } from '../support/zo/random-model.ts';
import { randomSettings } from '../support/zo/random-settings.ts';
import { type Session, type SessionSettings, withOptimizer } from '../support/zo/session.ts';
import { snapshot } from '../support/zo/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const steps = 20;
const evaluateEvery = 7;

interface Data {
  batches: TokenizedExample[][];
  validation: TokenizedExample[];
}

function randomData(random: Random, vocabulary: number): Data {
  const draw = (low: number, high: number) =>
    Array.from({ length: random.integer(low, high) }, () => random.integer(0, vocabulary - 1));
  const example = () => optionsExample(draw(1, 9), [draw(1, 3), draw(1, 3)], random.integer(0, 1));
  const examples = (count: number) => Array.from({ length: count }, example);
  // The first is not the largest: buffers grow on the way.
  const batches = Array.from({ length: steps }, (_, step) => examples(1 + Math.min(step, random.integer(0, 3))));
  return { batches, validation: examples(5) };
}

/**
 * Trains with evaluations.
 * @param ahead whether steps follow each other
 * @param between called after every step
 */
async function train(
  { optimizer, scorer, model, configuration }: Session,
  { batches, validation }: Data,
  ahead: boolean,
  between: () => void = () => {},
) {
  const resumed = vi.spyOn(gpu.recorder, 'resume');
  const shown = (examples: readonly TokenizedExample[]) =>
    withLeading(examples, leadingTokens(model, optimizer.current));
  const pipeline = new StepPipeline(
    { gpu, optimizer, scorer },
    {
      batchOf: (step) => ({ rows: [step], batch: shown(batches[step]!) }),
      learningRateOf: (step) => learningRateAt(step, configuration),
      follows: (step) => ahead && step < steps && step % evaluateEvery !== 0,
    },
  );
  const journal: AppliedStep[] = [];
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const evaluation = await pipeline.at(step);
    expect(evaluation.rows).toEqual([step]);
    expect(evaluation.finite).toBe(true);
    losses.push(...evaluation.losses);
    const applied = { step, learningRate: learningRateAt(step, configuration), ...evaluation.measured };
    journal.push(applied);
    await pipeline.apply(applied);
    between();
    if ((step + 1) % evaluateEvery === 0) {
      losses.push((await evaluate(scorer, shown(validation), optimizer.current)).loss);
    }
  }
  await pipeline.settle();
  const adapters = await optimizer.adapterValues();
  const state = await snapshot(model, optimizer);
  const count = resumed.mock.calls.length;
  resumed.mockRestore();
  return { run: { journal, losses, adapters, state }, count };
}

const methods: Partial<TrainConfiguration>[] = [
  { optimizer: 'subzero' },
  { optimizer: 'subzero', scheme: 'lora' },
  { optimizer: 'subzero-plus' },
  { optimizer: 'subzero-plus', scheme: 'prefix' },
  { optimizer: 'mezo' },
  { optimizer: 'mezo', scheme: 'prompt' },
  { optimizer: 'mezo', mezoUpdate: 'adam' },
  { optimizer: 'sparse-mezo' },
  { optimizer: 'hizoo' },
];

/** Random settings that stay finite for all steps. */
const settingsOf = (random: Random, method: Partial<TrainConfiguration>): Omit<SessionSettings, 'model'> => ({
  ...randomSettings(random, method, { rank: 20, queries: 3 }),
  ...{ steps, learningRate: 1e-3, schedule: 'linear', epsilon: 1e-3 },
});

/** Runs `body` with settings and data of a random model. */
async function withRandomRun(
  name: string,
  method: Partial<TrainConfiguration>,
  body: (settings: SessionSettings, data: Data) => Promise<void>,
): Promise<void> {
  await withSeed(name, async (random) => {
    const written = await writeRandomModel(random);
    const settings = { ...settingsOf(random, method), model: written.directory };
    try {
      await body(settings, randomData(random, written.config.vocab_size as number));
    } finally {
      await written.remove();
    }
  });
}

describe('what is recorded ahead', () => {
  test.each(methods.map((method) => ({ method, name: Object.values(method).join(' ') })))(
    'makes the same bits: $name',
    async ({ method, name }) => {
      await withRandomRun(`looks ${name}`, method, async (settings, data) => {
        const after = await withOptimizer(gpu, settings, (session) => train(session, data, false));
        expect(after.count).toBe(0);
        const ahead = await withOptimizer(gpu, settings, (session) => train(session, data, true));
        // Every step but the first, those behind an evaluation, and none after the last.
        expect(ahead.count).toBe(steps - 1 - 2);
        expect(ahead.run).toEqual(after.run);
      });
    },
  );

  test('in pieces, with other work between them', async () => {
    await withRandomRun('looks in pieces', { optimizer: 'subzero' }, async (settings, data) => {
      const whole = await withOptimizer(gpu, settings, (session) => train(session, data, false));
      Object.defineProperty(gpu.turns, 'pieceMilliseconds', { get: () => 0.02, configurable: true });
      const other = gpu.allocate(64, 'scratch', 'other');
      const reads: Promise<ArrayBuffer[]>[] = [];
      try {
        const ahead = await withOptimizer(gpu, settings, (session) =>
          train(session, data, true, () => {
            const leave = gpu.turns.enter();
            gpu.recorder.clear(other);
            reads.push(gpu.recorder.read([{ buffer: other, bytes: 64 }]).finally(leave));
          }),
        );
        expect(ahead.count).toBe(whole.count + steps - 1 - 2);
        expect(ahead.run).toEqual(whole.run);
        expect((await Promise.all(reads)).length).toBe(steps);
      } finally {
        Reflect.deleteProperty(gpu.turns, 'pieceMilliseconds');
        other.destroy();
      }
    });
  });

  test('is one pass: where a step takes several, nothing is', async () => {
    await withRandomRun('looks in passes', { optimizer: 'subzero' }, async (settings, data) => {
      const several = { ...settings, queries: 4, maxRows: 60 };
      const after = await withOptimizer(gpu, several, (session) => train(session, data, false));
      const ahead = await withOptimizer(gpu, several, (session) => train(session, data, true));
      expect(ahead.count).toBeLessThan(steps - 1 - 2);
      expect(ahead.run).toEqual(after.run);
    });
  });
});
