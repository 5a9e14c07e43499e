/** The examples of a run from files of several kinds: what is held out, what is told. */

import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test, vi } from 'vitest';
import { resolveConfiguration, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { fingerprintOf, readExamples } from '../../src/train/examples.ts';
import { outcomeOf, ReadingClock, type ReadingEvent } from '../../src/train/reading-clock.ts';

const model = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
const sst2 = fileURLToPath(new URL('../../examples/sst2', import.meta.url));
const directory = await mkdtemp(join(tmpdir(), 'subzero-test-'));
afterAll(() => rm(directory, { recursive: true }));

const file = join(directory, 'films.csv');
await writeFile(file, `text,label\n${Array.from({ length: 40 }, (_, n) => `film number ${n} ,${n % 2}\n`).join('')}`);
const words = { template: '{text|trim} It was', labels: ['0=terrible,1=great'] };
const load = (
  configuration: Partial<TrainConfiguration>,
  data: Parameters<typeof readExamples>[1]['data'] = { file },
) => outcomeOf(readExamples(model, { data }, resolveConfiguration(configuration)));

test('rows are held out by the seed: the same ones each time, each either here or there', async () => {
  const whole = await load(words);
  const parts = await load({ ...words, validationSplit: 0.1, seed: 5 });
  const again = await load({ ...words, validationSplit: 0.1, seed: 5 });
  const other = await load({ ...words, validationSplit: 0.1, seed: 6 });
  expect(whole.validation).toEqual([]);
  expect([parts.train.examples.length, parts.validation.length]).toEqual([36, 4]);
  expect(again).toEqual(parts);
  expect(other.validation).not.toEqual(parts.validation);
  const sorted = (examples: readonly object[]) => examples.map((example) => JSON.stringify(example)).sort();
  expect(sorted([...parts.train.examples, ...parts.validation])).toEqual(sorted(whole.train.examples));
});

test('a long reading tells how far it is, and ends where it is asked to; a short one goes on to its end', async () => {
  const rows = Array.from({ length: 2000 }, (_, n) => `film number ${n} ,${n % 2}\n`);
  const paths = ['train-0.csv', 'train-1.csv'].map((name) => join(directory, 'two', name));
  await mkdir(join(directory, 'two'));
  for (const path of paths) await writeFile(path, `text,label\n${rows.join('')}`);
  const source = { data: { file: join(directory, 'two') } };
  const read = async (signal?: AbortSignal) => {
    const events: ReadingEvent[] = [];
    const reading = readExamples(model, source, resolveConfiguration(words), { signal });
    for (;;) {
      const next = await reading.next();
      if (next.done) return { events, data: next.value };
      events.push(next.value);
    }
  };
  let [now, perLook] = [0, 0];
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += perLook));
  try {
    const short = await read(AbortSignal.abort());
    expect(short.events).toEqual([]);
    expect(short.data.train.examples).toHaveLength(4000);
    perLook = 10;
    const { events, data } = await read();
    expect(data).toEqual(short.data);
    // A look at the clock for each row, and about one event a second.
    expect(events.length).toBeGreaterThan(30);
    expect(events.length).toBeLessThan(60);
    const size = (await stat(paths[0]!)).size;
    for (const [index, event] of events.entries()) {
      expect(event).toMatchObject({ type: 'reading', totalBytes: 2 * size });
      const before = events[index - 1] ?? { rows: 0, readBytes: 0 };
      expect(event.rows).toBeGreaterThanOrEqual(before.rows);
      expect(event.readBytes).toBeGreaterThanOrEqual(before.readBytes);
      expect(event.etaSeconds).toBeGreaterThanOrEqual(0);
    }
    expect(events.at(-1)).toMatchObject({ readBytes: 2 * size });
    expect(events.at(-1)!.rows).toBeGreaterThan(3800);
    expect(events[0]!.readBytes).toBeLessThanOrEqual(size);
    await expect(read(AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
  } finally {
    clock.mockRestore();
  }
});

test('a message that asks to stop is heard while the rows of one document are tokenised', async () => {
  const path = join(directory, 'document.json');
  await writeFile(path, JSON.stringify(Array.from({ length: 500 }, (_, n) => ({ text: `a row, number ${n}` }))));
  const stop = new AbortController();
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 10));
  try {
    const reading = readExamples(model, { data: { file: path } }, resolveConfiguration({}), { signal: stop.signal });
    const first = await reading.next();
    const { size } = await stat(path);
    expect(first.value).toMatchObject({ type: 'reading', rows: 99, totalBytes: size });
    // A row counts as its share of the file, all of which is in memory by then.
    expect((first.value as ReadingEvent).readBytes).toBe(Math.floor((99 * size) / 500));
    // As a message of another thread comes: when this turn of the event loop is over.
    setImmediate(() => stop.abort());
    await expect(outcomeOf(reading)).rejects.toMatchObject({ code: 'cancelled' });
  } finally {
    clock.mockRestore();
  }
});

test('of a pipe, whose size nobody knows, nobody knows how long it takes', () => {
  let [now, perLook] = [0, 600];
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += perLook));
  try {
    const reading = new ReadingClock();
    reading.onRead(65_536, 0);
    expect(reading.due(6)).toBeUndefined();
    expect(reading.due(7)).toMatchObject({ rows: 8, readBytes: 65_536, totalBytes: 65_536, etaSeconds: Infinity });
    perLook = 1400;
    reading.onRead(65_536, 65_536);
    expect(reading.due(8)).toMatchObject({ etaSeconds: 0 });
    reading.onRead(16_384, 65_536);
    expect(reading.due(9)).toMatchObject({ etaSeconds: 12 });
    reading.onRead(0, 65_536);
    expect(reading.due(10)).toMatchObject({ etaSeconds: Infinity });
  } finally {
    clock.mockRestore();
  }
});

test('a file that is a link to nothing is not found', async () => {
  const folder = join(directory, 'links');
  await mkdir(folder);
  await symlink(join(directory, 'nothing'), join(folder, 'train.jsonl'));
  await expect(load({}, { file: folder })).rejects.toMatchObject({
    code: 'not_found',
    message: `${join(folder, 'train.jsonl')} does not exist`,
  });
});

test('at least one row is held out, and one stays', async () => {
  for (const validationSplit of [1e-6, 0.9]) {
    const { train, validation } = await load({ ...words, validationSplit });
    expect(train.examples.length).toBeGreaterThan(0);
    expect(validation.length).toBeGreaterThan(0);
  }
  const one = join(directory, 'one.jsonl');
  await writeFile(one, '{"text": "a single row"}');
  await expect(load({ validationSplit: 0.5 }, { file: one })).rejects.toThrow(
    'validationSplit needs at least two rows; the training data has one',
  );
});

test('pieces of one text are held out together', async () => {
  const path = join(directory, 'texts.jsonl');
  const texts = Array.from({ length: 12 }, (_, n) => JSON.stringify({ text: `${n} is a number. `.repeat(200) }));
  await writeFile(path, texts.join('\n'));
  const { train, validation, summary } = await load({ validationSplit: 0.25 }, { file: path });
  expect(summary).toMatchObject({ rows: 12, split: 12 });
  const pieces = summary.examples / 12;
  expect(pieces).toBeGreaterThan(1);
  expect([train.examples.length, validation.length]).toEqual([9 * pieces, 3 * pieces]);
});

test('a task that is learnt otherwise than it is scored cannot be held out from', async () => {
  const copa = fileURLToPath(new URL('../fixtures/data/copa', import.meta.url));
  await expect(load({ validationSplit: 0.5 }, { task: 'copa', directory: copa })).rejects.toThrow(
    'validationSplit cannot hold out rows of task copa',
  );
});

test('answers are generated for what is held out, not for what is trained on', async () => {
  const rows = ['When?', 'Where?', 'Who?'].map((question) => ({ question, answer: `${question.length} of them` }));
  const path = join(directory, 'questions.jsonl');
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  const task = { template: '{question}\nAnswer:', completion: '{answer}' };
  const { train, validation } = await load({ validationSplit: 0.3 }, { task, directory: path });
  expect(train.examples.map(({ generation }) => generation)).toEqual([undefined, undefined]);
  expect(validation.map(({ generation }) => generation?.references.length)).toEqual([1]);
});

test('the summary and the notes', async () => {
  const { summary, notes } = await load(words);
  expect(summary).toMatchObject({ format: 'options', rows: 40, examples: 40, truncated: 0, dropped: 0, split: 0 });
  expect(summary.tokens.minimum).toBeGreaterThan(3);
  expect(summary.first).toBe('<|endoftext|>film number 0 It was⟦ terrible⟧ | great');
  expect(notes).toEqual([]);
  const long = join(directory, 'long.jsonl');
  const rows = ['x ', 'a long text '.repeat(400)].map((prompt) => JSON.stringify({ prompt, completion: 'yes', id: 3 }));
  await writeFile(long, rows.join('\n'));
  expect((await load({ truncate: 'drop' }, { file: long })).notes).toEqual([
    'columns of the training data that nothing is read from: id',
    expect.stringMatching(/^1 of 2 examples were longer than \d+ tokens and are left out$/),
  ]);
  await writeFile(long, rows[1]!);
  await expect(load({ truncate: 'drop' }, { file: long })).rejects.toThrow(
    /all 1 examples are longer than the context/,
  );
  await expect(load({ truncate: 'error' }, { file: long })).rejects.toThrow(/long\.jsonl:1: the example has/);
});

test('the built-in task and its columns are the same run', async () => {
  const task = await load({}, { task: 'sst2', directory: sst2 });
  const own = await load({ template: '{sentence|trim} It was', labels: ['0=terrible', '1=great'] }, { file: sst2 });
  expect(fingerprintOf(own.train.examples)).toBe(fingerprintOf(task.train.examples));
  expect(own.validation).toEqual(task.validation);
});
