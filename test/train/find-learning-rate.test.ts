import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import type { FindEvent } from '../../src/engine/types.ts';
import { defaultsOf, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { learningRateGrid } from '../../src/train/find-learning-rate.ts';
import { fakeHost } from '../cli/fake-host.ts';
import { optionRows, quick, removeTemporary, tinyModel, writeRows } from './tiny.ts';

let engine: LocalEngine;
let model: string;
let file: string;

beforeAll(async () => {
  engine = await LocalEngine.open();
  model = tinyModel();
  file = writeRows(optionRows());
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

async function find(configuration: Partial<TrainConfiguration> = {}, validation = true, learningRates?: number[]) {
  const events: FindEvent[] = [];
  const { learningRate: _, ...others } = quick;
  const request = {
    model,
    data: { file },
    ...(validation ? { validation: { file } } : {}),
    trialSteps: 20,
    ...(learningRates ? { learningRates } : {}),
  };
  const settings = { ...others, epsilon: 1e-2, ...configuration };
  for await (const event of engine.findLearningRate({ ...request, configuration: settings })) events.push(event);
  const start = events.find((event) => event.type === 'start')!;
  return { events, start, trials: events.filter((event) => event.type === 'trial'), suggestion: events.at(-1) };
}

describe('the grid', () => {
  test('is half decades around the default of the optimiser and the scheme', () => {
    const grid = (settings: Partial<TrainConfiguration>) =>
      learningRateGrid({ ...defaultsOf(settings.optimizer, settings.scheme), ...settings });
    expect(grid({})).toEqual([1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3]);
    const adam = grid({ optimizer: 'subzero-plus' });
    expect([adam[0], adam.at(-1)]).toEqual([5e-5, 5e-2]);
    expect(grid({ optimizer: 'mezo', mezoUpdate: 'adam' })).toHaveLength(adam.length);
  });
});

describe('a search', () => {
  test('tries rates from the same weights until one diverges, and suggests that of the lowest loss', async () => {
    // Large moves: what the default's thousandfold does to real models, it does here.
    const { start, trials, suggestion, events } = await find({ optimizer: 'subzero', refresh: 10, queries: 4 });
    const base = await engine.loadModel({ id: 'base', path: model });
    const { loss } = await engine.evaluate({ model: base.id, data: { file } });
    await engine.unloadModel('base');
    expect(start).toMatchObject({ trialSteps: 20, examples: 24, heldOut: false });
    expect(start.loss).toBeCloseTo(loss, 6);
    expect(events.map(({ type }) => type)).toEqual(['start', ...trials.map(() => 'trial'), 'suggestion']);
    expect(trials.map(({ learningRate }) => learningRate)).toEqual(start.learningRates.slice(0, trials.length));
    for (const trial of trials) expect(trial).toMatchObject({ diverged: false, steps: 20 });
    // The smaller the rate, the smaller the change.
    const changes = trials.map((trial) => Math.abs(trial.loss! - start.loss));
    expect(changes[0]).toBeLessThan(changes.at(-1)!);
    const lowest = trials.reduce((best, trial) => (trial.loss! < best.loss! ? trial : best));
    expect(suggestion).toMatchObject({ learningRate: lowest.learningRate, loss: lowest.loss });
    expect(lowest.loss).toBeLessThan(start.loss);
  });

  test('ends at the first rate that diverges', async () => {
    // A decay of 1 − 10 turns the weights over and makes them nine times as large in each step.
    const { trials, suggestion } = await find({ weightDecay: 1 }, true, [1e-5, 10, 10.5]);
    expect(trials.map(({ learningRate, diverged }) => [learningRate, diverged])).toEqual([
      [1e-5, false],
      [10, true],
    ]);
    expect(trials[1]).toMatchObject({ loss: null });
    expect(trials[1]!.steps).toBeLessThan(20);
    expect(suggestion).toMatchObject({ type: 'suggestion' });
    expect([1e-5, null]).toContain(suggestion!.type === 'suggestion' ? suggestion!.learningRate : undefined);
  });

  test('keeps training examples apart where there is no validation data', async () => {
    const { start } = await find({ batchSize: 2 }, false);
    expect(start).toMatchObject({ heldOut: true, examples: 2 });
  });

  test('gives all memory back and writes nothing', async () => {
    const { staging: _one, ...before } = (await engine.info()).memory.byCategory;
    for await (const event of engine.findLearningRate({
      ...{ model, data: { file }, configuration: { ...quick, steps: 1 }, trialSteps: 5 },
    })) {
      if (event.type === 'trial') break;
    }
    const { staging: _other, ...after } = (await engine.info()).memory.byCategory;
    expect(after).toEqual(before);
  });
});

describe('at the command line', () => {
  const events: FindEvent[] = [
    { type: 'start', learningRates: [1e-6, 3e-6, 1e-5], trialSteps: 5, loss: 0.7, examples: 8, heldOut: true },
    { type: 'trial', learningRate: 1e-6, loss: 0.69, diverged: false, stuck: null, steps: 5, seconds: 1 },
    { type: 'trial', learningRate: 3e-6, loss: null, diverged: true, stuck: null, steps: 2, seconds: 1 },
    { type: 'suggestion', learningRate: 1e-6, loss: 0.69 },
  ];
  const host = ({ before = [], live = false }: { before?: FindEvent[]; live?: boolean } = {}) => {
    const requests: unknown[] = [];
    const stream = async function* (request: unknown) {
      requests.push(request);
      yield* [...before, ...events];
    };
    return Object.assign(fakeHost({ engine: { findLearningRate: stream, close: async () => {} }, live }), { requests });
  };
  const words = ['train', '--find-lr', '--model', 'm', '--data', 'x.jsonl', '--rank', '8', '--trial-steps', '5'];

  test('prints a table and a suggestion', async () => {
    const one = host();
    expect(await runProgram(words, one)).toBe(0);
    expect(one.requests).toEqual([
      { model: 'm', data: { file: 'x.jsonl' }, configuration: { rank: 8 }, trialSteps: 5 },
    ]);
    expect(one.out.text).toBe(
      'learning rate   before     after\n' +
        '1e-6            0.7000    0.6900\n' +
        '3e-6            0.7000  diverged at step 3\n' +
        'suggested: --learning-rate 1e-6 (the next one diverges: a long run may want a third of it)\n',
    );
    expect(one.error.text).toContain(
      '3 learning rates at most, 5 steps each; loss over 8 training examples kept apart',
    );
  });

  test('the table begins below the line that tells how far the reading was', async () => {
    const reading = { type: 'reading', rows: 9, readBytes: 10, totalBytes: 10, etaSeconds: 0 } as const;
    const one = host({ before: [reading], live: true });
    const shown: string[] = [];
    for (const output of [one.standardOutput, one.standardError]) output.write = (text) => shown.push(text);
    expect(await runProgram(words, one)).toBe(0);
    const above = shown.slice(0, shown.indexOf('learning rate   before     after\n'));
    expect(above.join('')).toMatch(/^\rreading data: 9 rows, .*\n3 learning rates at most, .*\n$/);
  });

  test('prints JSON on request', async () => {
    const one = host();
    expect(await runProgram([...words, '--json'], one)).toBe(0);
    expect(JSON.parse(one.out.text)).toMatchObject({
      before: 0.7,
      suggestion: 1e-6,
      trials: [{ loss: 0.69 }, { loss: null }],
    });
  });

  test.each(['--learning-rate=1', '--out=r', '--resume=r', '--epochs=2'])('%s has no meaning', async (word) => {
    expect(await runProgram([...words, word], host())).toBe(2);
  });
});
