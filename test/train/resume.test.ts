import { appendFileSync, cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { TrainEvent } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { type MetricsRecord, readMetrics } from '../../src/train/metrics.ts';
import { openJournal } from '../../src/zo/journal.ts';
import {
  collect,
  ofType,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  trainUpTo,
  writeRows,
} from './tiny.ts';

let engine: LocalEngine;
let model: string;
let file: string;
/** An undisturbed run of twelve steps with two folds. */
let whole: string;

beforeAll(async () => {
  engine = await LocalEngine.open();
  model = tinyModel();
  file = writeRows(optionRows());
  whole = await train();
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

/** Trains in a new folder, at most up to a step. */
async function train(configuration: Partial<TrainConfiguration> = {}, stopAfter = Number.POSITIVE_INFINITY) {
  return (await trainUpTo(engine, { model, file }, configuration, stopAfter)).run;
}

const resume = (run: string, changes: { steps?: number; memory?: number } = {}): Promise<TrainEvent[]> =>
  collect(engine.train({ resume: run, ...changes }));

const metricsOf = (run: string) => readMetrics(join(run, 'metrics.jsonl'));
const journalFile = (run: string) => join(run, 'journal.subzero');

async function exported(run: string, step?: number): Promise<Uint8Array> {
  const out = join(temporaryFolder(), 'out');
  await engine.exportRun({ run, format: 'safetensors', out, ...(step === undefined ? {} : { step }) });
  return readFileSync(join(out, 'model.safetensors'));
}

/** The same records, and the same weights to the last bit. */
async function expectSame(run: string, expected: string): Promise<void> {
  expect((await openJournal(journalFile(run))).records).toEqual((await openJournal(journalFile(expected))).records);
  expect(Buffer.compare(await exported(run), await exported(expected))).toBe(0);
}

async function failure(work: Promise<unknown>): Promise<SubzeroError> {
  const error = await work.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  return error as SubzeroError;
}

describe('a resumed run', () => {
  // Refresh is 5: within a period, right at a fold, one step behind it, and behind two folds.
  test.each([1, 4, 5, 6, 10, 11])('stopped after step %i ends like an undisturbed one', async (step) => {
    const run = await train({}, step);
    expect((await openJournal(journalFile(run))).records.length).toBe(step);
    const events = await resume(run);
    expect(events[0]).toMatchObject({ type: 'start', step, steps: 12 });
    expect(ofType(events, 'step')[0]!.step).toBe(step + 1);
    expect(events.at(-1)).toMatchObject({ type: 'done', step: 12, outcome: 'finished' });
    await expectSame(run, whole);
  });

  test('stopped after every step', async () => {
    const run = await train({}, 1);
    for (;;) {
      const abort = new AbortController();
      let outcome = '';
      for await (const event of engine.train({ resume: run }, abort.signal)) {
        if (event.type === 'step') abort.abort();
        if (event.type === 'done') outcome = event.outcome;
      }
      if (outcome === 'finished') break;
    }
    await expectSame(run, whole);
  });

  test.each([
    { queries: 3, sides: 1, weightDecay: 0.1, normAlignment: false },
    { queries: 2, sides: 2, schedule: 'cosine', warmupSteps: 4 },
    { storage: 'bf16' },
    { storage: 'f16', refresh: 1 },
  ] as const)('with %o', async (configuration) => {
    const run = await train(configuration, 7);
    await resume(run);
    await expectSame(run, await train(configuration));
  });

  test('goes on for longer than it was set up', async () => {
    const run = await train({ steps: 7 });
    const events = await resume(run, { steps: 12 });
    expect(events[0]).toMatchObject({ step: 7, steps: 12 });
    await expectSame(run, whole);
  });

  test('remembers a new number of steps when that is interrupted too', async () => {
    const run = await train({ steps: 7 });
    for await (const event of engine.train({ resume: run, steps: 12 })) {
      if (event.type === 'step' && event.step === 9) break;
    }
    const events = await resume(run);
    expect(events[0]).toMatchObject({ step: 9, steps: 12 });
    expect(events.at(-1)).toMatchObject({ step: 12, outcome: 'finished' });
    await expectSame(run, whole);

    writeFileSync(join(run, 'changes.json'), '{"steps": "many"}');
    const error = await failure(resume(run));
    expect(error.code).toBe('invalid_data');
    expect(error.message).toContain('changes.json');
  });

  // A refused number must not stay behind.
  test('forgets a number of steps that it cannot have', async () => {
    const run = await train({ steps: 7 });
    expect((await failure(resume(run, { steps: 5 }))).code).toBe('invalid_argument');
    expect((await resume(run))[0]).toMatchObject({ step: 7, steps: 7 });
  });

  test('keeps to another budget from there on, and says so', async () => {
    const settings = { queries: 4 };
    const undisturbed = await train(settings);
    const run = await train(settings, 7);
    const refused = await failure(resume(run, { memory: 1000 }));
    expect(refused).toMatchObject({ code: 'out_of_memory', parameter: 'memory' });
    const memory = Number(/The smallest that would do is (\d+)/.exec(refused.message)![1]);

    const stopped: TrainEvent[] = [];
    for await (const event of engine.train({ resume: run, memory })) {
      stopped.push(event);
      if (event.type === 'step') break;
    }
    const [start] = ofType(stopped, 'start');
    expect(start!.plan.totalBytes).toBeLessThanOrEqual(memory);
    expect(ofType(stopped, 'message').map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/the memory of the run is now .* it was without a limit/),
    );

    // Interrupted again, it keeps what it was given, without a word.
    const events = await resume(run);
    expect(ofType(events, 'message')).toEqual([]);
    expect(events[0]).toMatchObject({ step: 8, plan: { rows: start!.plan.rows } });
    const [records, expected] = await Promise.all(
      [run, undisturbed].map(async (of) => (await openJournal(journalFile(of))).records),
    );
    expect(records!.slice(0, 7)).toEqual(expected!.slice(0, 7));
    for (const [index, { loss }] of records!.entries()) expect(loss).toBeCloseTo(expected![index]!.loss, 4);

    // Without a limit it is as it was set up.
    const free = await train(settings, 7);
    const again = await resume(free, { memory: 0 });
    expect(again[0]!.type === 'start' && again[0]!.plan.rows).toBeGreaterThan(start!.plan.rows);
    await expectSame(free, undisturbed);
  });

  test('takes a budget away', async () => {
    const tight = await train({ memory: 2 ** 30 }, 7);
    const events = await resume(tight, { memory: 0, steps: 12 });
    expect(ofType(events, 'message')[0]!.message).toContain('is now without a limit; it was 1.0 GiB');
    expect(JSON.parse(readFileSync(join(tight, 'changes.json'), 'utf8'))).toEqual({ memory: 0, steps: 12 });
    await expectSame(tight, whole);
  });

  test('that has finished has nothing to do', async () => {
    const run = await train({ steps: 3 });
    const before = readFileSync(journalFile(run));
    const events = await resume(run);
    expect(ofType(events, 'step')).toEqual([]);
    expect(events.at(-1)).toMatchObject({ type: 'done', step: 3, outcome: 'finished', trainedTokens: 0 });
    expect(Buffer.compare(readFileSync(journalFile(run)), before)).toBe(0);
  });

  test('has metrics without gap or repetition', async () => {
    const run = await train({}, 7);
    // What the metrics know beyond the journal belongs to a step that never was.
    appendFileSync(join(run, 'metrics.jsonl'), `${JSON.stringify({ type: 'step', step: 8, loss: 99 })}\n{"type": "st`);
    await resume(run);
    const [lines, expected] = [
      await readMetrics(join(run, 'metrics.jsonl')),
      await readMetrics(join(whole, 'metrics.jsonl')),
    ];
    expect(lines.map(({ step, loss }) => [step, loss])).toEqual(expected.map(({ step, loss }) => [step, loss]));
  });

  test('has its lost metrics again, as far as the journal knows them', async () => {
    const run = await train({}, 7);
    rmSync(join(run, 'metrics.jsonl'));
    await resume(run);
    await expectSame(run, whole);
    const lines = await metricsOf(run);
    const expected = await metricsOf(whole);
    const known = (line: MetricsRecord) => [line.step, line.steps, line.learningRate, line.projectedGradient];
    expect(lines.map(known)).toEqual(expected.map(known));
    expect(lines.map(({ loss }) => Math.fround(Number(loss)))).toEqual(
      expected.map(({ loss }) => Math.fround(Number(loss))),
    );
    expect(lines.slice(0, 7).map(({ trainedTokens }) => trainedTokens)).toEqual(
      expected.slice(0, 7).map(({ trainedTokens }) => trainedTokens),
    );
    expect(lines.map(({ accuracy }) => accuracy === null)).toEqual(lines.map(({ step }) => step <= 7));
  });

  describe('killed', () => {
    const settings = { steps: 10, evaluateEvery: 4 } as const;
    const request = (out: string) => ({
      ...{ model, data: { file }, validation: { file }, out },
      configuration: { ...quick, ...settings },
    });
    /** What an undisturbed run shows; times aside. */
    const shown = (lines: readonly object[]) =>
      lines.map((line) => {
        const { type, step, loss } = line as MetricsRecord;
        return [type, step, Math.fround(Number(loss))];
      });
    let undisturbed: string;
    beforeAll(async () => {
      undisturbed = join(temporaryFolder(), 'run');
      await collect(engine.train(request(undisturbed)));
    });

    // Lines of an undisturbed run: steps 1 to 4, evaluation, 5 to 8, evaluation, 9, 10, evaluation.
    test.each([
      { moment: 'before the evaluation of step 4', steps: 4, lines: 4 },
      { moment: 'between the record of step 4 and its line', steps: 4, lines: 3 },
      { moment: 'in the middle of a line', steps: 4, lines: 3, rest: '{"type":"st' },
      { moment: 'behind the evaluation of step 4', steps: 4, lines: 5 },
      { moment: 'between the record of step 6 and its line', steps: 6, lines: 6 },
      { moment: 'before the evaluation of the last step', steps: 10, lines: 12 },
      { moment: 'between the record of the last step and its line', steps: 10, lines: 11 },
      { moment: 'at its very end', steps: 10, lines: 13 },
    ])('$moment, it has the metrics and events of an undisturbed run', async ({ steps, lines, rest = '' }) => {
      const run = join(temporaryFolder(), 'run');
      cpSync(undisturbed, run, { recursive: true });
      const size = readFileSync(journalFile(run)).length;
      truncateSync(journalFile(run), size - (10 - steps) * 20);
      const expected = await metricsOf(undisturbed);
      const kept = expected.slice(0, lines).map((line) => `${JSON.stringify(line)}\n`);
      writeFileSync(join(run, 'metrics.jsonl'), kept.join('') + rest);

      const events = await resume(run);
      expect(shown(await metricsOf(run))).toEqual(shown(expected));
      // A step that is in the journal is done; what was not yet evaluated is.
      const from = expected.findIndex(({ type, step }, i) => i >= lines && (type === 'evaluation' || step > steps));
      const fromHere = from < 0 ? [] : expected.slice(from);
      expect(shown(events.filter(({ type }) => type === 'step' || type === 'evaluation'))).toEqual(shown(fromHere));
      await expectSame(run, undisturbed);
    });
  });

  // A record of one query has 20 bytes.
  test.each([1, 10, 19])('repairs a journal whose last record lacks %i bytes, and says so', async (missing) => {
    const run = await train({}, 7);
    const size = readFileSync(journalFile(run)).length;
    truncateSync(journalFile(run), size - missing);
    const events = await resume(run);
    expect(events[0]).toMatchObject({ type: 'start', step: 6 });
    expect(
      ofType(events, 'message')
        .map(({ message }) => message)
        .join(),
    ).toContain('middle of a record');
    await expectSame(run, whole);
  });

  test('repairs a journal that ends in zeros, as a file system may leave it after a power failure', async () => {
    const run = await train({}, 7);
    appendFileSync(journalFile(run), new Uint8Array(33));
    expect((await resume(run))[0]).toMatchObject({ step: 7 });
    await expectSame(run, whole);
  });
});

describe('what a run rebuilds', () => {
  test('the weights of every step, like a run that ended there', async () => {
    for (const steps of [0, 3, 5, 6, 10]) {
      const expected = await exported(steps === 0 ? whole : await train({ steps }), steps);
      expect(Buffer.compare(await exported(whole, steps), expected)).toBe(0);
    }
    expect(Buffer.compare(await exported(whole, 3), await exported(whole, 5))).not.toBe(0);
  });

  test('at step 0, the base model', async () => {
    const out = join(temporaryFolder(), 'out');
    await engine.exportRun({ run: whole, format: 'safetensors', out, step: 0 });
    await engine.loadModel({ id: 'base', path: model });
    await engine.loadModel({ id: 'zero', path: out });
    const data = { file };
    const [base, zero] = [
      await engine.evaluate({ model: 'base', data }),
      await engine.evaluate({ model: 'zero', data }),
    ];
    expect(zero.loss).toBe(base.loss);
    await engine.unloadModel('base');
    await engine.unloadModel('zero');
  });

  test('a served run: the loss that the training itself saw at that step', async () => {
    const run = join(temporaryFolder(), 'run');
    const configuration = { ...quick, evaluateEvery: 1 };
    const events = await collect(
      engine.train({ model, data: { file }, validation: { file }, configuration, out: run }),
    );
    const evaluations = ofType(events, 'evaluation');
    for (const step of [1, 5, 6, 12]) {
      const information = await engine.loadModel({ id: `at ${step}`, path: run, step });
      expect(information).toMatchObject({ kind: 'run', step });
      const { loss } = await engine.evaluate({ model: `at ${step}`, data: { file } });
      expect(loss).toBe(evaluations[step - 1]!.loss);
      await engine.unloadModel(`at ${step}`);
    }
  });

  test('no step that it does not have', async () => {
    const error = await failure(exported(whole, 13));
    expect(error).toMatchObject({ code: 'invalid_argument', parameter: 'step' });
    expect(error.message).toContain('0 to 12');
  });
});

describe('a resume is refused', () => {
  test('where the training data has changed, until it is as it was', async () => {
    const run = join(temporaryFolder(), 'run');
    const own = writeRows(optionRows());
    const abort = new AbortController();
    for await (const event of engine.train(
      { model, data: { file: own }, configuration: quick, out: run },
      abort.signal,
    )) {
      if (event.type === 'step' && event.step === 4) abort.abort();
    }
    writeFileSync(own, optionRows().replace('"label":1', '"label":0'));
    const error = await failure(resume(run));
    expect(error.code).toBe('conflict');
    expect(error.message).toContain('training data');
    expect((await openJournal(journalFile(run))).records.length).toBe(4);
    writeFileSync(own, optionRows());
    await resume(run);
    await expectSame(run, whole);
  });

  test('where the base model is another one, or gone', async () => {
    const own = tinyModel();
    const run = join(temporaryFolder(), 'run');
    await collect(engine.train({ model: own, data: { file }, configuration: { ...quick, steps: 2 }, out: run }));
    const weights = join(own, 'model.safetensors');
    const bytes = readFileSync(weights);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(weights, bytes);
    const before = (await engine.info()).memory.byCategory;
    const error = await failure(resume(run, { steps: 4 }));
    expect(error.code).toBe('conflict');
    expect(error.message).toContain(own);
    expect(error.message).toContain('not the one');
    expect((await engine.info()).memory.byCategory).toEqual(before);

    rmSync(own, { recursive: true });
    const gone = await failure(resume(run, { steps: 4 }));
    expect(gone.code).toBe('not_found');
    expect(gone.message).toContain(own);
  });

  test('to fewer steps than it has', async () => {
    const error = await failure(resume(whole, { steps: 5 }));
    expect(error).toMatchObject({ code: 'invalid_argument', parameter: 'steps' });
    expect(error.message).toContain('12 steps');
  });

  test('while it is training', async () => {
    const run = join(temporaryFolder(), 'run');
    for await (const event of engine.train({ model, data: { file }, configuration: quick, out: run })) {
      if (event.type !== 'step' || event.step !== 3) continue;
      expect((await failure(resume(run))).code).toBe('conflict');
    }
    await expectSame(run, whole);
  });

  test('with an edited journal, naming the step', async () => {
    const run = join(temporaryFolder(), 'run');
    cpSync(whole, run, { recursive: true });
    const bytes = readFileSync(journalFile(run));
    bytes[bytes.length - 5 * 20 + 6]! ^= 1;
    writeFileSync(journalFile(run), bytes);
    const error = await failure(resume(run, { steps: 14 }));
    expect(error.code).toBe('invalid_data');
    expect(error.message).toContain('step 8');
  });

  test('of a folder that is no run, or is not there', async () => {
    expect((await failure(resume(temporaryFolder()))).code).toBe('not_found');
    expect((await failure(resume(join(temporaryFolder(), 'missing')))).code).toBe('not_found');
  });
});
