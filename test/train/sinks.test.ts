/** What a run tells its sinks, and in which order it is kept. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import { readMetrics } from '../../src/train/metrics.ts';
import type { KeptEvent } from '../../src/train/sinks/sink.ts';
import { openSinks } from '../../src/train/sinks/sinks.ts';
import { JournalWriter, openJournal } from '../../src/zo/journal.ts';
import { optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from './tiny.ts';

let engine: LocalEngine;

beforeAll(async () => {
  engine = await LocalEngine.open();
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

test('a step is in the journal, then in the metrics, then announced', async () => {
  const run = join(temporaryFolder(), 'run');
  const linesOf = async () => (await readMetrics(join(run, 'metrics.jsonl'))).map(({ step }) => step);
  const before: number[][] = [];
  const { append } = JournalWriter.prototype;
  vi.spyOn(JournalWriter.prototype, 'append').mockImplementation(async function (this: JournalWriter, record) {
    await append.call(this, record);
    before.push([(await openJournal(this.file)).records.length, (await linesOf()).length]);
  });
  const configuration = { ...quick, steps: 4 };
  const data = { file: writeRows(optionRows()) };
  for await (const event of engine.train({ model: tinyModel(), data, configuration, out: run })) {
    if (event.type !== 'step') continue;
    expect((await linesOf()).at(-1)).toBe(event.step);
  }
  expect(before).toEqual([
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 3],
  ]);
});

const evaluation: KeptEvent = {
  ...{ type: 'evaluation', step: 1, examples: 1, loss: 0.5, accuracy: null, f1: null, exactMatch: null },
  ...{ tokens: 1, seconds: 1 },
};
const eventFiles = (folder: string): string[] => readdirSync(folder).filter((name) => name.includes('tfevents'));

test.each([false, true])('all that a run wants, with event files: %s', async (tensorboard) => {
  const folder = temporaryFolder();
  const sinks = await openSinks({ folder, configuration: resolveConfiguration({ tensorboard }), step: 0, title: 'T' });
  await sinks.take(evaluation);
  await sinks.take({ type: 'message', step: 1, level: 'warn', message: 'look' });
  expect(existsSync(join(folder, 'loss-curve.svg'))).toBe(false);
  await sinks.finish();
  await sinks.close();
  await sinks.close();
  expect((await readMetrics(join(folder, 'metrics.jsonl'))).map(({ type }) => type)).toEqual(['evaluation', 'message']);
  expect(eventFiles(folder).length).toBe(tensorboard ? 1 : 0);
  expect(readFileSync(join(folder, 'loss-curve.svg'), 'utf8')).toContain('best 0.5 at 1');
});

test('a folder that is not there is an error, with nothing left open', async () => {
  const folder = join(temporaryFolder(), 'none');
  const opening = openSinks({ folder, configuration: resolveConfiguration({}), step: 0, title: 'T' });
  await expect(opening).rejects.toMatchObject({ code: 'not_found' });
});
