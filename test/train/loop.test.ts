import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { TrainEvent, TrainRequest } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import { defaultConfiguration, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { readMetrics } from '../../src/train/metrics.ts';
import { learningRateAt } from '../../src/train/schedule.ts';
import {
  collect,
  completionRows,
  journalOf,
  ofType,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from './tiny.ts';

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

/** Trains in a new folder. */
async function train(
  configuration: Partial<TrainConfiguration> = {},
  request: Partial<Extract<TrainRequest, { model: string }>> = {},
): Promise<{ run: string; events: TrainEvent[] }> {
  const run = join(temporaryFolder(), 'run');
  const all = { model, data: { file }, configuration: { ...quick, ...configuration }, out: run, ...request };
  return { run, events: await collect(engine.train(all)) };
}

const metricsOf = (run: string) => readMetrics(join(run, 'metrics.jsonl'));

/** The error of a training that must fail. */
async function failure(events: Promise<unknown>): Promise<SubzeroError> {
  const error = await events.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  return error as SubzeroError;
}

describe('a run', () => {
  test('announces its start, every step, its evaluations and its end; journal and metrics say the same', async () => {
    const { run, events } = await train({ evaluateEvery: 5 }, { validation: { file: writeRows(optionRows(7)) } });
    expect(events.map(({ type }) => type)).toEqual([
      'start',
      ...Array<string>(5).fill('step'),
      'evaluation',
      ...Array<string>(5).fill('step'),
      'evaluation',
      'step',
      'step',
      'evaluation',
      'done',
    ]);

    const [start] = ofType(events, 'start');
    expect(start).toMatchObject({ run, step: 0, steps: 12, examples: 24 });
    expect(start!.plan.weightBytes).toBeGreaterThan(0);
    expect(start!.plan.factorBytes).toBeGreaterThan(0);

    const steps = ofType(events, 'step');
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(steps.every(({ learningRate }) => learningRate === Math.fround(1e-3))).toBe(true);
    expect(steps.every(({ accuracy }) => accuracy !== null && accuracy >= 0 && accuracy <= 1)).toBe(true);
    const grown = steps.slice(1).every(({ trainedTokens }, i) => trainedTokens > steps[i]!.trainedTokens);
    expect(grown).toBe(true);
    expect(steps.at(-1)!.etaSeconds).toBe(0);

    expect(ofType(events, 'evaluation').map(({ step, examples }) => [step, examples])).toEqual([
      [5, 7],
      [10, 7],
      [12, 7],
    ]);
    expect(events.at(-1)).toMatchObject({
      type: 'done',
      run,
      step: 12,
      outcome: 'finished',
      trainedTokens: steps.at(-1)!.trainedTokens,
    });

    const { header, records, torn, recordBytes } = await journalOf(run);
    expect(records).toEqual(
      steps.map(({ step, learningRate, projectedGradient, loss }) => ({
        step,
        learningRate,
        projectedGradients: [projectedGradient],
        loss: Math.fround(loss),
      })),
    );
    expect(torn).toBeNull();
    expect(recordBytes).toBeLessThanOrEqual(64);
    expect(header.basePath).toBe(model);
    expect(header.configuration).toEqual({ ...defaultConfiguration, ...quick, evaluateEvery: 5, storage: 'f32' });

    const lines = await metricsOf(run);
    expect(lines).toEqual(events.filter(({ type }) => type === 'step' || type === 'evaluation'));
    expect(readFileSync(join(run, 'loss-curve.svg'), 'utf8')).toMatch(/^<svg[\s\S]*<\/svg>\s*$/);
  });

  test('is the same, bit for bit, when it is made again', async () => {
    const [one, other] = [await train(), await train()];
    expect((await journalOf(other.run)).records).toEqual((await journalOf(one.run)).records);
  });

  test('depends on its seed', async () => {
    const [one, other] = [await train({ steps: 2 }), await train({ steps: 2, seed: 12 })];
    expect((await journalOf(other.run)).records).not.toEqual((await journalOf(one.run)).records);
  });

  test('learns: the loss over its own rows falls', async () => {
    const options = { steps: 40, refresh: 50, epsilon: 1e-2 };
    const before = await engineLoss(model);
    const { events } = await train(options, { validation: { file } });
    expect(ofType(events, 'evaluation').at(-1)!.loss).toBeLessThan(before - 0.1);
  });

  test('of completions has no accuracy', async () => {
    const { events } = await train({ steps: 3 }, { data: { file: writeRows(completionRows()) } });
    expect(ofType(events, 'step').map(({ accuracy }) => accuracy)).toEqual([null, null, null]);
  });

  test('that is to evaluate without validation data says that it cannot', async () => {
    const notes = async (evaluateEvery: number) => {
      const { events } = await train({ steps: 1, evaluateEvery });
      return ofType(events, 'message').map(({ message }) => message);
    };
    expect(await notes(1)).toEqual(['nothing is evaluated: this run has no validation data']);
    expect(await notes(0)).toEqual([]);
  });

  test('on OPT folds its position table too and finishes', async () => {
    const { events } = await train({ steps: 7, refresh: 3 }, { model: tinyModel('opt-tiny') });
    expect(events.at(-1)).toMatchObject({ type: 'done', outcome: 'finished', step: 7 });
  });

  test('follows its learning-rate schedule', async () => {
    const schedule = { schedule: 'cosine', warmupSteps: 3, steps: 8 } as const;
    const { events } = await train(schedule);
    const configuration = { ...defaultConfiguration, ...quick, ...schedule };
    const rates = ofType(events, 'step').map(({ learningRate }) => learningRate);
    expect(rates).toEqual(Array.from({ length: 8 }, (_, step) => learningRateAt(step, configuration)));
    expect(new Set(rates).size).toBeGreaterThan(5);
  });
});

async function engineLoss(path: string): Promise<number> {
  await engine.loadModel({ id: 'loss', path });
  const { loss } = await engine.evaluate({ model: 'loss', data: { file } });
  await engine.unloadModel('loss');
  return loss;
}

describe('estimators', () => {
  test.each([
    { sides: 2, queries: 1 },
    { sides: 2, queries: 3 },
    { sides: 1, queries: 1 },
    { sides: 1, queries: 4 },
  ] as const)(
    '$sides sides, $queries queries: one ρ per query in the journal, their mean in the event',
    async (estimator) => {
      const { run, events } = await train({ ...estimator, steps: 6, refresh: 4 });
      const { records } = await journalOf(run);
      expect(records.map(({ projectedGradients }) => projectedGradients.length)).toEqual(
        Array(6).fill(estimator.queries),
      );
      for (const [index, { projectedGradient }] of ofType(events, 'step').entries()) {
        const { projectedGradients } = records[index]!;
        const mean = projectedGradients.reduce((sum, rho) => sum + rho, 0) / estimator.queries;
        expect(projectedGradient).toBeCloseTo(mean, 12);
        expect(new Set(projectedGradients).size).toBe(estimator.queries);
      }
    },
  );

  test('one- and two-sided differences of one direction agree to first order', async () => {
    const options = { steps: 1, batchSize: 16, epsilon: 1e-3 };
    const [one, two] = [await train({ ...options, sides: 1 }), await train({ ...options, sides: 2 })];
    const rhoOf = async (run: string) => (await journalOf(run)).records[0]!.projectedGradients[0]!;
    const [forward, central] = [await rhoOf(one.run), await rhoOf(two.run)];
    expect(Math.abs(forward - central)).toBeLessThan(0.1 * Math.abs(central) + 0.1);
  });

  test('a step that does not fit one pass runs in several, with the same result', async () => {
    // A pass over fewer rows may take other tiles, so sums may be rounded otherwise.
    const whole = await train({ steps: 3, queries: 2, batchSize: 8 });
    const pieces = await train({ steps: 3, queries: 2, batchSize: 8, maxRows: 128 });
    const [one, other] = [await journalOf(whole.run), await journalOf(pieces.run)];
    for (const [index, { projectedGradients, loss }] of one.records.entries()) {
      expect(other.records[index]!.loss).toBeCloseTo(loss, 5);
      for (const [query, rho] of projectedGradients.entries()) {
        expect(Math.abs(other.records[index]!.projectedGradients[query]! - rho)).toBeLessThan(0.01);
      }
    }
  });
});

describe('the best step', () => {
  test('is that of the lowest validation loss; done names it, and --step best is it', async () => {
    const { run, events } = await train({ evaluateEvery: 3, learningRate: 0.004 }, { validation: { file } });
    const evaluations = ofType(events, 'evaluation');
    const lowest = evaluations.reduce((best, event) => (event.loss < best.loss ? event : best));
    const { best, reason } = ofType(events, 'done')[0]!;
    expect(best).toEqual({ step: lowest.step, loss: lowest.loss });
    expect(reason).toBeNull();

    expect(await engine.loadModel({ id: 'best', path: run, step: 'best' })).toMatchObject({ step: lowest.step });
    expect((await engine.evaluate({ model: 'best', data: { file } })).loss).toBe(lowest.loss);
    // Asking again is no conflict.
    expect(await engine.loadModel({ id: 'best', path: run, step: 'best' })).toMatchObject({ step: lowest.step });
    await engine.unloadModel('best');
    const [best1, best2] = [join(temporaryFolder(), 'out'), join(temporaryFolder(), 'out')];
    await engine.exportRun({ run, format: 'safetensors', out: best1, step: 'best' });
    await engine.exportRun({ run, format: 'safetensors', out: best2, step: lowest.step });
    const weights = [best1, best2].map((out) => readFileSync(join(out, 'model.safetensors')));
    expect(Buffer.compare(weights[0]!, weights[1]!)).toBe(0);
  });

  test('of a run without evaluations, or of a model, is refused', async () => {
    const { run, events } = await train({ steps: 1 });
    expect(ofType(events, 'done')[0]!.best).toBeNull();
    for (const path of [run, model]) {
      const error = await failure(engine.loadModel({ id: 'none', path, step: 'best' }));
      expect(error).toMatchObject({ code: 'invalid_argument', parameter: 'step' });
    }
  });
});

describe('early stopping', () => {
  // Without a learning rate every evaluation is the first one again, so that none is better.
  const settings = { learningRate: 0, evaluateEvery: 2, earlyStopping: 3 };

  test('ends the run as finished, says why, and stays so', async () => {
    const { run, events } = await train(settings, { validation: { file } });
    const [done] = ofType(events, 'done');
    expect(done).toMatchObject({ outcome: 'finished', step: 8, best: { step: 2 } });
    expect(done!.reason).toMatch(/^early stopping: no lower validation loss in the last 3 evaluations; .* at step 2$/);
    expect(ofType(events, 'message').map(({ message }) => message)).toContain(done!.reason);

    const again = await collect(engine.train({ resume: run }));
    expect(ofType(again, 'step')).toEqual([]);
    expect(again.at(-1)).toMatchObject({ outcome: 'finished', step: 8, reason: done!.reason });
  });

  test('counts on where a run was interrupted', async () => {
    const run = join(temporaryFolder(), 'run');
    const configuration = { ...quick, ...settings };
    for await (const event of engine.train({ model, data: { file }, validation: { file }, configuration, out: run })) {
      if (event.type === 'step' && event.step === 5) break;
    }
    const events = await collect(engine.train({ resume: run }));
    expect(events.at(-1)).toMatchObject({ outcome: 'finished', step: 8, best: { step: 2 } });
  });

  test('does not end a run that still improves', async () => {
    const { events } = await train({ ...settings, learningRate: 1e-3, earlyStopping: 6 }, { validation: { file } });
    expect(events.at(-1)).toMatchObject({ outcome: 'finished', step: 12, reason: null });
  });

  test('needs evaluations to count', async () => {
    const none = await failure(train({ earlyStopping: 2 }, { validation: { file } }));
    expect(none).toMatchObject({ code: 'invalid_argument', parameter: 'evaluateEvery' });
    const error = await failure(train({ earlyStopping: 2, evaluateEvery: 2 }));
    expect(error).toMatchObject({ code: 'invalid_argument', parameter: 'earlyStopping' });
    expect(error.message).toContain('validation data');
  });
});

describe('batches', () => {
  test.each([
    { rows: 'options', data: () => file },
    { rows: 'completions', data: () => writeRows(completionRows()) },
  ])('of $rows: N accumulated ones are one that is N times as large, in the memory of one', async ({ data }) => {
    const settings = { steps: 3, queries: 2 };
    const source = { data: { file: data() } };
    const [small, parts, large] = [
      await train({ ...settings, batchSize: 3 }, source),
      await train({ ...settings, batchSize: 3, accumulate: 4 }, source),
      await train({ ...settings, batchSize: 12 }, source),
    ];
    const planOf = ({ events }: { events: TrainEvent[] }) => ofType(events, 'start')[0]!.plan;
    expect(planOf(parts)).toEqual(planOf(small));
    expect(planOf(parts).activationBytes).toBeLessThan(planOf(large).activationBytes / 3);
    const [one, other] = [await journalOf(parts.run), await journalOf(large.run)];
    for (const [index, { projectedGradients, loss }] of one.records.entries()) {
      expect(other.records[index]!.loss).toBeCloseTo(loss, 5);
      for (const [query, rho] of projectedGradients.entries()) {
        expect(Math.abs(other.records[index]!.projectedGradients[query]! - rho)).toBeLessThan(0.01);
      }
    }
    const tokens = [parts, large].map(({ events }) => ofType(events, 'done')[0]!.trainedTokens);
    expect(tokens[0]).toBe(tokens[1]);
  });

  test('shuffled: as many epochs as asked for, and the same after an interruption', async () => {
    const settings = { sampling: 'shuffle', batchSize: 5, accumulate: 2 } as const;
    const { steps: _, ...others } = quick;
    const request = { ...{ model, data: { file }, epochs: 2 }, configuration: { ...others, ...settings } };
    const runs = [join(temporaryFolder(), 'run'), join(temporaryFolder(), 'run')];
    // 24 examples, 10 of them a step: 4.8 steps are two epochs.
    const events = await collect(engine.train({ ...request, out: runs[0]! }));
    expect(events.at(-1)).toMatchObject({ step: 5, outcome: 'finished' });
    for await (const event of engine.train({ ...request, out: runs[1]! })) {
      if (event.type === 'step' && event.step === 3) break;
    }
    await collect(engine.train({ resume: runs[1]! }));
    expect((await journalOf(runs[1]!)).records).toEqual((await journalOf(runs[0]!)).records);
  });

  test('with another batch seed sees other examples', async () => {
    const [one, other] = [await train({ steps: 1 }), await train({ steps: 1, batchSeed: 1 })];
    const [a, b] = [await journalOf(one.run), await journalOf(other.run)];
    expect(a.records[0]!.loss).not.toBe(b.records[0]!.loss);
  });

  test('epochs count what a text that is longer than the context came to', async () => {
    const rows = ['a '.repeat(300), 'b b', 'c c'].map((text) => JSON.stringify({ text })).join('\n');
    const { steps: _, ...settings } = quick;
    const { events } = await train({}, { data: { file: writeRows(rows) }, configuration: settings, epochs: 2 });
    const [start] = ofType(events, 'start');
    // 128 tokens of context, of which the first is not scored: 600 tokens are five examples.
    expect(start).toMatchObject({ examples: 7, steps: Math.ceil((2 * 7) / quick.batchSize) });
  });

  test('no epochs are refused', async () => {
    const request = { model, data: { file }, configuration: {}, out: join(temporaryFolder(), 'run') };
    expect(await failure(collect(engine.train({ ...request, epochs: 0 })))).toMatchObject({ parameter: 'epochs' });
  });
});

describe('what stops a run', () => {
  test('a loss that is no number: the journal keeps the last good step and says what to change', async () => {
    const run = join(temporaryFolder(), 'run');
    // A decay of 1 − 10 turns the weights over and makes them nine times as large in each step.
    const configuration = { ...quick, learningRate: 10, weightDecay: 1, steps: 100, refresh: 200 };
    const events: TrainEvent[] = [];
    const error = await failure(
      (async () => {
        for await (const event of engine.train({ model, data: { file }, configuration, out: run })) events.push(event);
      })(),
    );
    const done = ofType(events, 'step').length;
    expect(error.code).toBe('invalid_argument');
    expect(error.message).toContain(`at step ${done + 1} (training rows `);
    expect(error.message).toContain(`saved up to step ${done}`);
    expect(error.message).toContain('lower learning rate');
    const { records, torn } = await journalOf(run);
    expect(records.length).toBe(done);
    expect(torn).toBeNull();
    expect(records.every(({ loss }) => Number.isFinite(loss))).toBe(true);
    // The engine goes on working.
    expect((await train({ steps: 1 })).events.at(-1)).toMatchObject({ outcome: 'finished' });
  });

  test('an abort: the step in progress is finished, the stream still says that it is done', async () => {
    const run = join(temporaryFolder(), 'run');
    const abort = new AbortController();
    const events: TrainEvent[] = [];
    const request = { model, data: { file }, configuration: { ...quick, steps: 1000 }, out: run };
    for await (const event of engine.train(request, abort.signal)) {
      events.push(event);
      if (event.type === 'step' && event.step === 4) abort.abort();
    }
    expect(events.at(-1)).toMatchObject({ type: 'done', step: 4, outcome: 'stopped' });
    expect((await journalOf(run)).records.length).toBe(4);
    expect(existsSync(join(run, 'journal.subzero.lock'))).toBe(false);
  });

  test('an abort while an evaluation runs ends it; resuming makes it up', async () => {
    const run = join(temporaryFolder(), 'run');
    const configuration = { ...quick, steps: 4, evaluateEvery: 2 };
    const abort = new AbortController();
    const events: TrainEvent[] = [];
    const data = { file: writeRows(optionRows()) };
    const validation = { file: writeRows(optionRows(2000)) };
    for await (const event of engine.train({ model, data, validation, configuration, out: run }, abort.signal)) {
      events.push(event);
      // The stream goes on with the evaluation behind step 4.
      if (event.type === 'step' && event.step === 4) setTimeout(() => abort.abort(), 50);
    }
    expect(ofType(events, 'evaluation').map(({ step }) => step)).toEqual([2]);
    expect(events.at(-1)).toMatchObject({ type: 'done', step: 4, outcome: 'stopped' });
    const resumed = await collect(engine.train({ resume: run }));
    expect(resumed.map(({ type }) => type)).toEqual(['start', 'evaluation', 'done']);
    expect(resumed.at(-1)).toMatchObject({ step: 4, outcome: 'finished' });
  });

  test('an abort before the first step', async () => {
    const run = join(temporaryFolder(), 'run');
    const request = { model, data: { file }, configuration: quick, out: run };
    const events = await collect(engine.train(request, AbortSignal.abort()));
    expect(events.map(({ type }) => type)).toEqual(['start', 'done']);
    expect(events.at(-1)).toMatchObject({ step: 0, outcome: 'stopped' });
  });

  test('a consumer that leaves: the run is closed and can be resumed', async () => {
    const run = join(temporaryFolder(), 'run');
    for await (const event of engine.train({ model, data: { file }, configuration: quick, out: run })) {
      if (event.type === 'step' && event.step === 2) break;
    }
    expect(existsSync(join(run, 'journal.subzero.lock'))).toBe(false);
    expect((await collect(engine.train({ resume: run }))).at(-1)).toMatchObject({ step: 12, outcome: 'finished' });
  });
});

describe('refusals', () => {
  test('a folder that holds a run', async () => {
    const { run } = await train({ steps: 1 });
    const error = await failure(train({ steps: 1 }, { out: run }));
    expect(error).toMatchObject({ code: 'conflict', parameter: 'out' });
    expect(error.message).toContain(`--resume ${run}`);
    expect((await journalOf(run)).records.length).toBe(1);
  });

  test('a folder that cannot be made', async () => {
    const blocked = join(writeRows('', temporaryFolder(), 'a-file'), 'run');
    const error = await failure(train({ steps: 1 }, { out: blocked }));
    expect(error).toMatchObject({ code: 'io', parameter: 'out' });
    expect(error.message).toContain(blocked);
  });

  test('a folder that cannot be written to', async () => {
    // A folder that nobody may write to, not even root: the kernel's own.
    const error = await failure(train({ steps: 1 }, { out: '/proc/self' }));
    expect(['io', 'not_found']).toContain(error.code);
    expect(error.message).toContain('/proc/self');
  });

  test('a run folder as the model', async () => {
    const { run } = await train({ steps: 1 });
    const error = await failure(train({ steps: 1 }, { model: run }));
    expect(error.code).toBe('unsupported');
  });

  test('a model folder that does not exist', async () => {
    const missing = join(temporaryFolder(), 'missing');
    const error = await failure(train({ steps: 1 }, { model: missing }));
    expect(error).toMatchObject({ code: 'not_found', parameter: 'model' });
  });

  test.each([
    { setting: { learningRate: -1 }, parameter: 'learningRate' },
    { setting: { rank: 0 }, parameter: 'rank' },
    { setting: { sides: 3 as 2 }, parameter: 'sides' },
  ])('$parameter out of range, before anything is made', async ({ setting, parameter }) => {
    const run = join(temporaryFolder(), 'run');
    expect(await failure(train(setting, { out: run }))).toMatchObject({ code: 'invalid_argument', parameter });
    expect(existsSync(run)).toBe(false);
  });

  test('malformed data, naming file and line', async () => {
    const broken = writeRows(`${optionRows(2)}{"prompt": \n`);
    const error = await failure(train({ steps: 1 }, { data: { file: broken } }));
    expect(error.code).toBe('invalid_data');
    expect(error.message).toContain(broken);
    expect(error.message).toMatch(/line 3|:3/);
  });

  test('before the first step leaves nothing in the way of the next attempt', async () => {
    const run = join(temporaryFolder(), 'run');
    const attempt = (configuration: Partial<TrainConfiguration>, data = { file }) =>
      collect(engine.train({ model, data, configuration: { ...quick, ...configuration }, out: run }));
    await failure(attempt({ memory: 1024, tensorboard: true }));
    expect(existsSync(run)).toBe(false);
    await failure(attempt({}, { file: writeRows('') }));
    expect(existsSync(run)).toBe(false);

    mkdirSync(run);
    writeFileSync(join(run, 'notes.txt'), 'mine');
    await failure(attempt({ memory: 1024 }));
    expect(readdirSync(run)).toEqual(['notes.txt']);
    expect((await attempt({ steps: 1 })).at(-1)).toMatchObject({ outcome: 'finished' });
  });

  test('an example that does not fit into a pass', async () => {
    const error = await failure(train({ steps: 1, maxRows: 16 }));
    expect(error.code).toBe('out_of_memory');
    expect(error.message).toContain('max-rows');
  });
});

describe('a full disk', () => {
  test('is an io error; nothing of the run is lost, and it goes on when there is room', async () => {
    const folder = temporaryFolder();
    const run = join(folder, 'run');
    mkdirSync(run);
    symlinkSync('/dev/full', join(run, 'metrics.jsonl'));
    const before = (await engine.info()).memory.byCategory;
    const error = await failure(collect(engine.train({ model, data: { file }, configuration: quick, out: run })));
    expect(error.code).toBe('io');
    expect(error.message).toContain('metrics.jsonl');
    expect((await journalOf(run)).records.length).toBe(1);
    expect(existsSync(join(run, 'journal.subzero.lock'))).toBe(false);
    const after = (await engine.info()).memory.byCategory;
    expect(after).toEqual(before);

    rmSync(join(run, 'metrics.jsonl'));
    writeFileSync(join(run, 'metrics.jsonl'), '');
    await collect(engine.train({ resume: run }));
    expect((await journalOf(run)).records).toEqual((await journalOf((await train()).run)).records);
  });
});

describe('GPU memory', () => {
  test('is flat after the first step', async () => {
    const live: number[] = [];
    const run = join(temporaryFolder(), 'run');
    const configuration = { ...quick, steps: 200, refresh: 20, evaluateEvery: 50 };
    const validation = { file: writeRows(optionRows(9)) };
    for await (const event of engine.train({ model, data: { file }, validation, configuration, out: run })) {
      if (event.type === 'step') live.push((await engine.info()).memory.liveBytes);
    }
    expect(live.length).toBe(200);
    expect(new Set(live.slice(1)).size).toBe(1);
  });

  test('is given back after training, serving and failing', async () => {
    await train({ steps: 1 });
    const before = (await engine.info()).memory.byCategory;
    const { run } = await train({ steps: 3, queries: 2 });
    await failure(train({ steps: 1, maxRows: 16 }));
    await failure(train({ steps: 1 }, { out: run }));
    await engine.loadModel({ id: 'run', path: run });
    for await (const _ of engine.generate({ model: 'run', prompt: 'a', maxTokens: 3 }));
    await engine.evaluate({ model: 'run', data: { file } });
    await engine.unloadModel('run');
    await engine.exportRun({ run, format: 'safetensors', out: join(temporaryFolder(), 'out') });
    const { staging: _one, ...after } = (await engine.info()).memory.byCategory;
    const { staging: _other, ...held } = before;
    expect(after).toEqual({ ...held, cache: 0 });
  });
});
