/** Memory of a run: the plan is what the run takes, a budget is kept, and the estimate does not depend on it. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { SubzeroError } from '../../src/errors.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import type { OptimizerName } from '../../src/settings/methods.ts';
import { openTestGpu } from '../support/gpu.ts';
import { optionsExample } from '../support/zo/golden.ts';
import { probe } from '../support/zo/live.ts';
import { withOptimizer } from '../support/zo/session.ts';
import {
  completionRows,
  ofType,
  optionRows,
  quick,
  recordsOf,
  removeTemporary,
  tinyModel,
  trainUpTo,
  writeRows,
} from './tiny.ts';

let gpu: Gpu;
let engine: LocalEngine;
const models = new Map<string, string>();

beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  for (const name of ['llama-tiny', 'opt-tiny']) models.set(name, tinyModel(name));
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

/** Trains, and says how many bytes more than before were in use at most, while training alone. */
async function train(
  configuration: Partial<TrainConfiguration>,
  { model = 'llama-tiny', rows = optionRows(), on = engine, account = gpu } = {},
) {
  // What a device keeps: the arena of kernel parameters is counted in the plan, so it must not be there before.
  const file = writeRows(rows);
  const before = account.memory.report();
  const kept = before.byCategory.staging ?? 0;
  account.memory.resetPeak();
  const what = { model: models.get(model)!, file, validation: { file } };
  const { run, events } = await trainUpTo(on, what, { steps: 4, ...configuration });
  const peak = account.memory.report().peakBytes - (before.liveBytes - kept);
  return { run, peak, events, plan: ofType(events, 'start')[0]!.plan };
}

async function refused(training: Promise<unknown>): Promise<SubzeroError> {
  const error = await training.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  return error as SubzeroError;
}

describe('the plan', () => {
  test.each([
    { optimizer: 'subzero', model: 'llama-tiny' },
    { optimizer: 'subzero', model: 'opt-tiny', queries: 3 },
    { optimizer: 'subzero-plus', model: 'llama-tiny', queries: 4, sides: 1 },
    { optimizer: 'mezo', model: 'opt-tiny' },
    { optimizer: 'sparse-mezo', model: 'llama-tiny' },
    { optimizer: 'hizoo', model: 'llama-tiny' },
    { optimizer: 'mezo', model: 'llama-tiny', mezoUpdate: 'adam' },
    { optimizer: 'subzero', model: 'llama-tiny', parameters: ['*.q_proj.*'] },
    { optimizer: 'subzero', model: 'llama-tiny', scheme: 'lora' },
    { optimizer: 'mezo', model: 'llama-tiny', scheme: 'lora' },
    { optimizer: 'subzero', model: 'llama-tiny', scheme: 'prompt' },
  ] as const)('is what $optimizer takes: %o', async ({ model, ...settings }) => {
    const { plan, peak } = await train(settings, { model });
    const { weightBytes, factorBytes, activationBytes, scratchBytes, totalBytes } = plan;
    expect(totalBytes).toBe(weightBytes + factorBytes + activationBytes + scratchBytes);
    expect(Math.min(weightBytes, factorBytes, activationBytes, scratchBytes)).toBeGreaterThan(0);
    // Not less, and not much more: results and inputs of a step are seldom as large as they can be.
    expect(peak).toBeLessThanOrEqual(totalBytes);
    expect(peak).toBeGreaterThan(0.9 * totalBytes);
  });
});

describe('the plan with the kernels of GPUs', () => {
  const hardware = openTestGpu({ kernelStyle: 'hardware' });

  // Small results over a long inner dimension are shared out, in memory of their own.
  test.each([{}, { queries: 4, sides: 1 }, { optimizer: 'mezo' }, { batchSize: 1 }] as Partial<TrainConfiguration>[])(
    'is what a run takes: %o',
    async (settings) => {
      const other = new LocalEngine(hardware());
      const { plan, peak } = await train(settings, { on: other, account: hardware() });
      expect(peak).toBeLessThanOrEqual(plan.totalBytes);
      expect(peak).toBeGreaterThan(0.75 * plan.totalBytes);
    },
  );
});

describe('a budget', () => {
  const cases: { optimizer: OptimizerName; queries: number }[] = [
    { optimizer: 'subzero', queries: 5 },
    { optimizer: 'mezo', queries: 2 },
  ];
  test.each(cases)(
    'is kept by $optimizer, down to the smallest that would do, with the same estimate',
    async (settings) => {
      const free = await train({ ...settings, batchSize: 8 });
      const expected = await recordsOf(free.run);

      const error = await refused(train({ ...settings, batchSize: 8, memory: 1000 }));
      expect(error).toMatchObject({ code: 'out_of_memory', parameter: 'memory' });
      const smallest = Number(/The smallest that would do is (\d+)/.exec(error.message)![1]);
      expect(smallest).toBeLessThan(free.plan.totalBytes);
      expect((await refused(train({ ...settings, batchSize: 8, memory: smallest - 1 }))).code).toBe('out_of_memory');

      const rows: number[] = [];
      for (const memory of [smallest, Math.round((smallest + free.plan.totalBytes) / 2), 2 * free.plan.totalBytes]) {
        const { run, peak, plan } = await train({ ...settings, batchSize: 8, memory });
        expect(plan.totalBytes).toBeLessThanOrEqual(memory);
        expect(peak).toBeLessThanOrEqual(memory);
        rows.push(plan.rows);
        // Passes of other sizes may round otherwise.
        const records = await recordsOf(run);
        for (const [index, { projectedGradients, loss }] of records.entries()) {
          expect(loss).toBeCloseTo(expected[index]!.loss, 5);
          for (const [query, rho] of projectedGradients.entries()) {
            expect(Math.abs(rho - expected[index]!.projectedGradients[query]!)).toBeLessThan(0.01);
          }
        }
      }
      expect(rows[0]).toBeLessThan(rows[1]!);
      expect(rows[1]).toBeLessThanOrEqual(rows[2]!);
      expect(rows[2]).toBe(free.plan.rows);
    },
  );

  test('keeps pieces of perturbed weights small where there is no room to spare, with the same losses', async () => {
    const examples = [optionsExample([5, 6, 7], [[8], [9, 10]], 1), optionsExample([11, 12], [[13], [14]], 0)];
    const settings = { ...quick, optimizer: 'mezo', memory: 2 ** 30, model: 'llama-tiny' } as const;
    await withOptimizer(gpu, settings, async (session) => {
      const { optimizer } = session;
      const small = optimizer.scratchBytes;
      const losses = await probe(session, examples, 0);
      optimizer.reserveScratch(2 ** 30);
      expect(optimizer.scratchBytes).toBeGreaterThan(small);
      const again = await probe(session, examples, 0);
      for (const [index, loss] of again.entries()) expect(loss).toBeCloseTo(losses[index]!, 5);
    });
    const free = await train({ optimizer: 'mezo' });
    const roomy = await train({ optimizer: 'mezo', memory: 2 * free.plan.totalBytes });
    expect(roomy.plan.scratchBytes).toBe(free.plan.scratchBytes);
  });

  test.each(['subzero', 'mezo'] as const)(
    'is kept by %s where the base is asked about the examples',
    async (optimizer) => {
      const settings = { optimizer, anchor: 0.1, batchSize: 8 };
      const error = await refused(train({ ...settings, memory: 1000 }));
      const smallest = Number(/The smallest that would do is (\d+)/.exec(error.message)![1]);
      const { peak, plan, events } = await train({ ...settings, memory: smallest });
      expect(peak).toBeLessThanOrEqual(smallest);
      expect(plan.totalBytes).toBeLessThanOrEqual(smallest);
      expect(ofType(events, 'step')[0]!.measures!.drift).toBeGreaterThan(0);
    },
  );

  test('splits completions and long validation rows too', async () => {
    const rows = completionRows(20);
    const free = await train({ batchSize: 16 }, { rows });
    const memory = Math.round(0.8 * free.plan.totalBytes);
    const { peak, events } = await train({ batchSize: 16, memory }, { rows });
    expect(peak).toBeLessThanOrEqual(memory);
    const losses = [events, free.events].map((all) => ofType(all, 'evaluation').at(-1)!.loss);
    expect(losses[0]).toBeCloseTo(losses[1]!, 4);
  });
});
