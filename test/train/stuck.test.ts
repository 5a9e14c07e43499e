import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { trainWithReport } from '../../src/cli/commands/train.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import type { FindEvent, TrainEvent, TrainRequest } from '../../src/engine/types.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import type { OptimizerName } from '../../src/settings/methods.ts';
import { readMetrics } from '../../src/train/metrics.ts';
import { hopelessSteps } from '../../src/train/slope.ts';
import { fakeHost } from '../cli/fake-host.ts';
import {
  collect,
  completionRows,
  journalOf,
  ofType,
  optionRows,
  quick,
  recordsOf,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  trainUpTo,
  writeRows,
} from './tiny.ts';

let engine: LocalEngine;
let model: string;
let options: string;
let completions: string;

beforeAll(async () => {
  engine = await LocalEngine.open();
  model = tinyModel();
  options = writeRows(optionRows());
  completions = writeRows(completionRows());
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const ruinous = { learningRate: 10, steps: 100 } satisfies Partial<TrainConfiguration>;

const train = (configuration: Partial<TrainConfiguration>, file = options, stopAfter?: number) =>
  trainUpTo(engine, { model, file }, configuration, stopAfter);

const doneOf = (events: readonly TrainEvent[]) => ofType(events, 'done')[0]!;
const stepsOf = (events: readonly TrainEvent[]) => ofType(events, 'step').map(({ step }) => step);

/** The step of the first warning that there is no slope. */
const warningOf = (events: readonly TrainEvent[]) => ofType(events, 'message').find(({ code }) => code === 'no_slope');

describe('a learning rate that ruins the weights', () => {
  const cases: [OptimizerName, Partial<TrainConfiguration>][] = [
    ['subzero', {}],
    ['subzero', { queries: 3, accumulate: 2 }],
    ['subzero', { sides: 1, storage: 'f16' }],
    ['mezo', {}],
    ['mezo', { mezoUpdate: 'momentum', sides: 1 }],
    ['sparse-mezo', {}],
    ['hizoo', { queries: 2 }],
  ];
  test.each(cases)(
    '%s %o: is told of at the second step without a slope and ends the run soon after',
    async (optimizer, more) => {
      for (const file of [options, completions]) {
        const { run, events } = await train({ ...ruinous, optimizer, ...more }, file);
        const { records } = await journalOf(run);
        const end = doneOf(events);
        expect(end).toMatchObject({ outcome: 'stuck', step: records.length });
        expect(end.step).toBeLessThan(ruinous.steps);
        const since = Number(
          /ρ has been 0 since step (\d+).*learning rate \(10\) is too high.* with 1 or less/.exec(end.reason!)![1],
        );
        expect(end.step).toBeGreaterThanOrEqual(since + hopelessSteps - 1);
        const warning = warningOf(events)!;
        expect(warning.step).toBeGreaterThan(since);
        expect(warning).toMatchObject({ level: 'warn', message: expect.stringContaining(`since step ${since}`) });
        // As the journal has it: a slope before and none after, but for the rounding of a loss that is that of a guess.
        const differences = records.map(({ projectedGradients: rhos, loss }) =>
          Math.max(...rhos.map((rho) => (loss === 0 ? 0 : (Math.abs(rho) * quick.epsilon * (more.sides ?? 2)) / loss))),
        );
        expect(Math.max(...differences.slice(since - 1))).toBeLessThanOrEqual(1e-6);
        expect(Math.max(...differences.slice(0, since - 1))).toBeGreaterThan(1e-4);
      }
    },
  );

  test('subzero-plus, whose steps have their own length, is told of when its loss is far above a guess', async () => {
    const { events } = await train({ ...ruinous, optimizer: 'subzero-plus', queries: 2, steps: 30 }, completions);
    const told = ofType(events, 'message').filter(({ level }) => level === 'warn');
    expect(told).toMatchObject([{ code: 'rising_loss', message: expect.stringContaining('learning rate') }]);
  });

  test('metrics keep the warning', async () => {
    const { run, events } = await train(ruinous);
    const { message, step } = warningOf(events)!;
    const lines = await readMetrics(join(run, 'metrics.jsonl'));
    expect(lines.filter(({ type }) => type === 'message')).toEqual([
      { type: 'message', step, level: 'warn', code: 'no_slope', message },
    ]);
    const steps = lines.filter(({ type }) => type === 'step').map((line) => line.step);
    expect(steps).toEqual(stepsOf(events));
  });

  test('an interrupted run ends where the uninterrupted does, with the same bits and the same words', async () => {
    const whole = await train(ruinous);
    const part = await train(ruinous, options, 9);
    expect(doneOf(part.events)).toMatchObject({ outcome: 'stopped', step: 9 });
    const rest = await collect(engine.train({ resume: part.run }));
    // Who goes on with it is told again.
    expect(rest[1]).toMatchObject({ type: 'message', code: 'no_slope' });
    const { step, outcome, reason } = doneOf(whole.events);
    expect(doneOf(rest)).toMatchObject({ step, outcome, reason });
    expect(await recordsOf(part.run)).toEqual(await recordsOf(whole.run));
    // It stays so.
    const again = await collect(engine.train({ resume: whole.run, steps: 200 }));
    expect(stepsOf(again)).toEqual([]);
    expect(doneOf(again)).toMatchObject({ step, outcome: 'stuck', reason });
  });

  test('a fork from before goes on; the row of the run it comes from does not count', async () => {
    const { run, events } = await train(ruinous);
    const fork = async (step: number) => {
      const out = join(temporaryFolder(), 'fork');
      const configuration = { learningRate: 1e-4, steps: step + 4 };
      return collect(engine.train({ fork: run, step, configuration, out }));
    };
    expect(doneOf(await fork(0))).toMatchObject({ outcome: 'finished', step: 4, reason: null });
    const dead = await fork(doneOf(events).step);
    expect(stepsOf(dead)).toHaveLength(4);
    expect(doneOf(dead)).toMatchObject({ outcome: 'stuck' });
  });

  test('a run that ends first is not said to have finished', async () => {
    const { events } = await train({ ...ruinous, steps: 10 });
    expect(doneOf(events)).toMatchObject({ step: 10, outcome: 'stuck' });
  });

  test('a validation loss is not taken of weights that are given up', async () => {
    const request: TrainRequest = {
      ...{ model, data: { file: options }, validation: { file: options }, out: join(temporaryFolder(), 'run') },
      configuration: { ...quick, ...ruinous, evaluateEvery: 1 },
    };
    const events = await collect(engine.train(request));
    const { step } = doneOf(events);
    expect(ofType(events, 'evaluation').at(-1)!.step).toBe(step - 1);
  });
});

describe('a step without a slope has other causes', () => {
  test('ε too small', async () => {
    const { events } = await train({ optimizer: 'hizoo', epsilon: 1e-8, learningRate: 1e-6, steps: 40 });
    expect(ofType(events, 'message').find(({ level }) => level === 'warn')!.message).toContain('ε = 1e-8');
    const noise = await train({ epsilon: 1e-8, learningRate: 1e-6, steps: 22 });
    expect(ofType(noise.events, 'message')).toMatchObject([
      { code: 'noise', message: expect.stringContaining('1e-8') },
    ]);
    expect(doneOf(noise.events).outcome).toBe('finished');
  });

  test('a model whose weights are all 0', async () => {
    const damaged = tinyModel();
    const weights = join(damaged, 'model.safetensors');
    const bytes = readFileSync(weights);
    bytes.fill(0, 8 + Number(bytes.readBigUInt64LE()));
    writeFileSync(weights, bytes);
    const { events } = await trainUpTo(
      engine,
      { model: damaged, file: options },
      { parameters: ['*.mlp.*'], steps: 30 },
    );
    expect(doneOf(events)).toMatchObject({ outcome: 'stuck', step: hopelessSteps });
    expect(doneOf(events).reason).toContain('the model is damaged');
  });

  test('parameters that play no part: a bias of keys adds the same to all scores of a query', async () => {
    const opt = tinyModel('opt-tiny');
    const configuration = { parameters: ['*.k_proj.bias'], steps: 22 };
    const { events } = await trainUpTo(engine, { model: opt, file: options }, configuration);
    const told = ofType(events, 'message').find(({ level }) => level === 'warn')!;
    expect(told.message).toContain('none of the parameters that train changes the loss');
  });

  test('a learning rate of 0', async () => {
    const { events } = await train({ learningRate: 0, steps: 3 });
    expect(ofType(events, 'message')).toMatchObject([{ level: 'warn', code: 'idle_learning_rate' }]);
    expect(doneOf(events).outcome).toBe('finished');
  });
});

describe('elsewhere', () => {
  test.each([
    ['options', () => options],
    ['completions', () => completions],
  ])('a search over %s never suggests a rate whose trial got stuck', async (_, file) => {
    const { learningRate: _rate, ...settings } = quick;
    const events: FindEvent[] = [];
    const request = { model, data: { file: file() }, validation: { file: file() }, configuration: settings };
    const all = { ...request, trialSteps: 20, learningRates: [1e-6, 10] };
    for await (const event of engine.findLearningRate(all)) events.push(event);
    const trials = events.filter((event) => event.type === 'trial');
    expect(trials[0]).toMatchObject({ learningRate: 1e-6, stuck: null, diverged: false });
    expect(trials[1]).toMatchObject({ learningRate: 10, loss: null });
    expect(trials[1]!.stuck !== null || trials[1]!.diverged).toBe(true);
    const suggestion = events.at(-1) as Extract<FindEvent, { type: 'suggestion' }>;
    expect([1e-6, null]).toContain(suggestion.learningRate);
  });

  test('a run whose caller makes its steps says so in their answers', async () => {
    const { steps: _, ...settings } = quick;
    const configuration = { ...settings, ...ruinous };
    await engine.createRun({ id: 'own', model, configuration });
    const rows = optionRows(4)
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row) as Record<string, unknown>);
    const answers: { rho: number; stuck: string | null }[] = [];
    for (let step = 0; step < 12; step++) {
      const { probe } = await engine.stepRun('own', rows);
      answers.push({ rho: probe.projectedGradients[0]!, stuck: probe.stuck });
    }
    await engine.unloadModel('own');
    const first = answers.findIndex(({ rho }) => rho === 0);
    expect(first).toBeGreaterThan(0);
    expect(answers.slice(0, first + 1).every(({ stuck }) => stuck === null)).toBe(true);
    for (const { stuck } of answers.slice(first + 1)) expect(stuck).toContain(`since step ${first + 1}`);
  });

  test('the command line says it last, and in its exit code', async () => {
    const given = { engine: { train: engine.train.bind(engine), close: async () => {} } };
    const host = Object.assign(fakeHost(given), { options: { quiet: true, json: false } });
    const request = {
      model,
      data: { file: options },
      configuration: { ...quick, ...ruinous },
      out: join(temporaryFolder(), 'run'),
    };
    expect(await trainWithReport(host as never, request)).toBe(1);
    expect(host.out.text).toMatch(/^ended at step \d+, .*: the run can no longer learn: ρ has been 0 since step \d+/);
    expect(host.error.text).toMatch(/warning: step \d+: the run can no longer learn/);
  });
});
