import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import type { TrainEvent, TrainRequest } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { compareRuns } from '../../src/train/diff.ts';
import { readMetrics } from '../../src/train/metrics.ts';
import { fakeHost } from '../cli/fake-host.ts';
import {
  collect,
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
/** A run of twelve steps with two folds. */
let whole: string;

beforeAll(async () => {
  engine = await LocalEngine.open();
  model = tinyModel();
  file = writeRows(optionRows());
  whole = (await train()).run;
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

async function train(configuration: Partial<TrainConfiguration> = {}): Promise<{ run: string; events: TrainEvent[] }> {
  const run = join(temporaryFolder(), 'run');
  const request = { model, data: { file }, validation: { file }, out: run };
  const all = { ...request, configuration: { ...quick, evaluateEvery: 4, ...configuration } };
  return { run, events: await collect(engine.train(all)) };
}

type ForkRequest = Extract<TrainRequest, { fork: string }>;

async function fork(of: Partial<ForkRequest> = {}): Promise<{ run: string; events: TrainEvent[] }> {
  const run = join(temporaryFolder(), 'fork');
  return { run, events: await collect(engine.train({ fork: whole, configuration: {}, out: run, ...of })) };
}

async function failure(work: Promise<unknown>): Promise<SubzeroError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  return error as SubzeroError;
}

const linesOf = async (run: string) =>
  (await readMetrics(join(run, 'metrics.jsonl'))).map(({ type, step, loss }) => [type, step, loss]);

async function exported(run: string): Promise<Uint8Array> {
  const out = join(temporaryFolder(), 'out');
  await engine.exportRun({ run, format: 'safetensors', out });
  return readFileSync(join(out, 'model.safetensors'));
}

describe('a fork', () => {
  // Refresh is 5: at the start, within a period, at a fold, one behind it.
  test.each([0, 3, 5, 6, 11])('from step %i without changes is the run again, bit for bit', async (step) => {
    const { run, events } = await fork({ step });
    expect(events[0]).toMatchObject({ type: 'start', run, step, steps: 12 });
    expect(events.at(-1)).toMatchObject({ step: 12, outcome: 'finished' });
    const journal = await journalOf(run);
    expect(journal.records).toEqual((await journalOf(whole)).records);
    expect(journal.header.extra.fork).toEqual({ run: whole, step });
    expect(await linesOf(run)).toEqual(await linesOf(whole));
    expect(Buffer.compare(await exported(run), await exported(whole))).toBe(0);
  });

  test('goes on with other settings, needs nothing of the run that it came from, and can be resumed', async () => {
    const { run: own } = await train();
    const configuration = { learningRate: 2e-3, schedule: 'linear', batchSize: 6, batchSeed: 3, steps: 16 } as const;
    const { run, events } = await fork({ fork: own, step: 7, configuration });
    expect(events.at(-1)).toMatchObject({ step: 16, outcome: 'finished' });
    const { header, records } = await journalOf(run);
    expect(header.configuration).toMatchObject(configuration);
    expect(records.slice(0, 7)).toEqual((await journalOf(own)).records.slice(0, 7));
    // Linear from the first step of all.
    expect(records[7]!.learningRate).toBe(Math.fround(2e-3 * (1 - 7 / 16)));
    expect(records[7]!.loss).not.toBe((await journalOf(own)).records[7]!.loss);
    rmSync(own, { recursive: true });
    await exported(run);

    const other = join(temporaryFolder(), 'fork');
    for await (const event of engine.train({ fork: whole, step: 7, configuration, out: other })) {
      if (event.type === 'step' && event.step === 10) break;
    }
    await collect(engine.train({ resume: other }));
    expect((await journalOf(other)).records).toEqual(records);
  });

  test('from the best step, or the last', async () => {
    const best = ofType((await train()).events, 'done')[0]!.best!;
    const { events } = await fork({ step: 'best', configuration: { steps: best.step + 1 } });
    expect(events[0]).toMatchObject({ step: best.step });
    expect((await fork({ configuration: { steps: 13 } })).events[0]).toMatchObject({ step: 12, steps: 13 });
  });

  test('on other data: its validation starts anew', async () => {
    const data = { file: writeRows(optionRows(30)) };
    const { run } = await fork({ step: 6, data, validation: data });
    const { header } = await journalOf(run);
    expect(header.dataFingerprint).not.toBe((await journalOf(whole)).header.dataFingerprint);
    expect(header.extra.sources).toEqual({ data, validation: data });
    const evaluated = (await linesOf(run)).filter(([type]) => type === 'evaluation').map(([, step]) => step);
    expect(evaluated).toEqual([8, 12]);
  });

  test.each<[string, Partial<TrainConfiguration>]>([
    ['another objective', { objective: 'accuracy' }],
    ['an anchor', { anchor: 3 }],
  ])('with %s: losses from before are not compared with its own', async (_, configuration) => {
    const { run } = await fork({ step: 6, configuration });
    const evaluated = (await linesOf(run)).filter(([type]) => type === 'evaluation').map(([, step]) => step);
    expect(evaluated).toEqual([8, 12]);
  });

  test('on rows whose columns have other names, and on the same rows read otherwise', async () => {
    const rows = optionRows(30).replaceAll('"prompt"', '"text"');
    const data = { file: writeRows(rows) };
    const { run } = await fork({ step: 6, data, validation: data, configuration: { columns: ['prompt=text'] } });
    const { header } = await journalOf(run);
    expect(header.configuration.columns).toEqual(['prompt=text']);
    const again = await fork({ fork: run, step: 9, configuration: { template: 'Well: {text}' } });
    expect(again.events.at(-1)).toMatchObject({ step: 12, outcome: 'finished' });
    expect((await journalOf(again.run)).header.dataFingerprint).not.toBe(header.dataFingerprint);
    // The evaluation of step 8 was of other prompts.
    const evaluated = (await linesOf(again.run)).filter(([type]) => type === 'evaluation').map(([, step]) => step);
    expect(evaluated).toEqual([12]);
  });

  test('of a run that stopped early has all its patience again', async () => {
    // Without a learning rate no evaluation is better than the first.
    const settings = { learningRate: 0, evaluateEvery: 1, earlyStopping: 2 };
    const { run: own, events } = await train(settings);
    expect(events.at(-1)).toMatchObject({ step: 3, outcome: 'finished' });
    const forked = await fork({ fork: own });
    expect(forked.events[0]).toMatchObject({ step: 3 });
    expect(forked.events.at(-1)).toMatchObject({ step: 5, outcome: 'finished', best: { step: 1 } });
    expect((await collect(engine.train({ resume: forked.run }))).at(-1)).toMatchObject({ step: 5 });
  });

  test('of a run that was extended knows its number of steps', async () => {
    const { run: short } = await train({ steps: 4 });
    await collect(engine.train({ resume: short, steps: 6 }));
    expect((await fork({ fork: short, step: 2 })).events[0]).toMatchObject({ step: 2, steps: 6 });
  });

  test.each([
    { setting: { rank: 8 } },
    { setting: { seed: 1 } },
    { setting: { refresh: 6 } },
    { setting: { epsilon: 1e-2 } },
    { setting: { weightDecay: 0.1 } },
    { setting: { optimizer: 'mezo' } },
  ] as { setting: Partial<TrainConfiguration> }[])(
    'with $setting is refused, and leaves no folder',
    async ({ setting }) => {
      const out = join(temporaryFolder(), 'fork');
      const error = await failure(fork({ step: 3, configuration: setting, out }));
      expect(error).toMatchObject({ code: 'invalid_argument', parameter: Object.keys(setting)[0] });
      expect(error.message).toContain('export');
      expect(existsSync(out)).toBe(false);
    },
  );

  test('that shall stop early without validation data is refused, and leaves no folder', async () => {
    const own = join(temporaryFolder(), 'run');
    await collect(engine.train({ model, data: { file }, configuration: { ...quick, steps: 2 }, out: own }));
    const out = join(temporaryFolder(), 'fork');
    const configuration = { earlyStopping: 2, evaluateEvery: 1, steps: 4 };
    expect(await failure(fork({ fork: own, configuration, out }))).toMatchObject({ parameter: 'earlyStopping' });
    expect(existsSync(out)).toBe(false);
    const { events } = await fork({ fork: own, configuration, validation: { file } });
    expect(ofType(events, 'evaluation').map(({ step }) => step)).toEqual([2, 3, 4]);
  });

  test('of a step that the run does not have, with nothing left to do, or into a run is refused', async () => {
    expect(await failure(fork({ step: 13 }))).toMatchObject({ parameter: 'step' });
    expect(await failure(fork())).toMatchObject({ parameter: 'steps' });
    expect(await failure(fork({ step: 2, out: whole }))).toMatchObject({ code: 'conflict', parameter: 'out' });
    expect(await failure(fork({ fork: temporaryFolder() }))).toMatchObject({ code: 'not_found' });
    expect((await journalOf(whole)).records.length).toBe(12);
  });
});

describe('a comparison', () => {
  test('of equal runs', async () => {
    const difference = await compareRuns(whole, (await train()).run);
    expect(difference).toEqual({
      ...{ same: true, settings: [], circumstances: [], parted: null, losses: [] },
      steps: { a: 12, b: 12 },
    });
  });

  test('shows settings, the step at which runs part, and the losses around it', async () => {
    const { run } = await fork({ step: 7, configuration: { learningRate: 2e-3 } });
    const difference = await compareRuns(whole, run);
    const [a, b] = [(await journalOf(whole)).records, (await journalOf(run)).records];
    expect(difference.same).toBe(false);
    expect(difference.settings).toEqual([{ field: 'configuration.learningRate', a: 1e-3, b: 2e-3 }]);
    expect(difference.circumstances).toEqual([{ field: 'fork', a: null, b: { run: whole, step: 7 } }]);
    // The step itself saw the same weights and rows.
    expect(difference.parted).toEqual({ step: 8, fields: ['learningRate'], a: a[7], b: b[7] });
    expect(difference.losses).toEqual(
      [6, 7, 8, 9, 10].map((step) => ({ step, a: a[step - 1]!.loss, b: b[step - 1]!.loss })),
    );
  });

  test('at the command line: for people, for programs, and by its exit code', async () => {
    const { run } = await fork({ step: 7, configuration: { learningRate: 2e-3 } });
    const host = fakeHost();
    expect(await runProgram(['diff', whole, run], host)).toBe(1);
    expect(host.out.text).toContain('configuration.learningRate  0.001  |  0.002\n');
    expect(host.out.text).toContain('parted at step 8, in η\n');
    expect(await runProgram(['diff', whole, whole], host)).toBe(0);
    expect(host.out.text).toMatch(/\nthe same 12 steps\n$/);
    const other = fakeHost();
    expect(await runProgram(['diff', whole, run, '--json'], other)).toBe(1);
    expect(JSON.parse(other.out.text)).toEqual(await compareRuns(whole, run));
  });

  test('of a run and its beginning', async () => {
    const { run } = await train({ steps: 4 });
    const difference = await compareRuns(run, whole);
    expect(difference).toMatchObject({ same: false, parted: null, steps: { a: 4, b: 12 } });
    expect(difference.settings).toEqual([{ field: 'configuration.steps', a: 4, b: 12 }]);
    expect(difference.losses.map(({ step, a }) => [step, a === null])).toEqual([
      [3, false],
      [4, false],
      [5, true],
      [6, true],
      [7, true],
    ]);
  });

  test('of what is no run, or an edited one, is refused', async () => {
    expect((await failure(compareRuns(whole, temporaryFolder()))).code).toBe('not_found');
    const { run } = await train({ steps: 2 });
    appendFileSync(
      join(run, 'journal.subzero'),
      Uint8Array.from({ length: 60 }, (_, i) => i),
    );
    expect((await failure(compareRuns(run, whole))).code).toBe('invalid_data');
  });
});

test('a folder without a journal is not a run, whatever is asked of it', async () => {
  const expected = { code: 'not_found', message: `${model} is not a run: there is no journal.subzero in it` };
  const out = join(temporaryFolder(), 'out');
  expect(await failure(compareRuns(whole, model))).toMatchObject(expected);
  expect(await failure(fork({ fork: model }))).toMatchObject(expected);
  expect(await failure(collect(engine.train({ resume: model })))).toMatchObject(expected);
  expect(await failure(engine.exportRun({ run: model, format: 'safetensors', out }))).toMatchObject(expected);
  expect(existsSync(out)).toBe(false);
});
