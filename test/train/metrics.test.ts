import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type MetricsRecord, openMetrics, readMetrics, truncateMetrics } from '../../src/train/metrics.ts';

const directory = await mkdtemp(join(tmpdir(), 'subzero-metrics-'));
afterAll(() => rm(directory, { recursive: true, force: true }));

let counter = 0;
const newFile = () => join(directory, `${counter++}.jsonl`);

async function fileOf(text: string): Promise<string> {
  const file = newFile();
  await writeFile(file, text);
  return file;
}

const records: MetricsRecord[] = [
  { type: 'step', step: 1, loss: 0.69 },
  { type: 'step', step: 2, loss: 0.5, note: 'ü\nx' },
  { type: 'evaluation', step: 2, accuracy: 0.75 },
  { type: 'step', step: 3, loss: 0.4 },
];
const text = records.map((record) => `${JSON.stringify(record)}\n`).join('');

test('lines are appended, kept in order and read back, over several openings', async () => {
  const file = newFile();
  const first = await openMetrics(file);
  await Promise.all(records.slice(0, 3).map((record) => first.append(record)));
  await first.close();
  await first.close();
  const second = await openMetrics(file);
  await second.append(records[3]!);
  await second.close();
  expect(await readFile(file, 'utf8')).toBe(text);
  expect(await readMetrics(file)).toEqual(records);
});

test('numbers that JSON does not have become null', async () => {
  const file = newFile();
  const writer = await openMetrics(file);
  await writer.append({ step: 1, loss: Number.NaN, rate: Number.POSITIVE_INFINITY });
  await writer.close();
  expect(await readMetrics(file)).toEqual([{ step: 1, loss: null, rate: null }]);
});

test.each([
  [0, 0],
  [1, 1],
  [2, 3],
  [3, 4],
  [9, 4],
])('cut at step %i, %i lines stay and new ones follow them', async (lastStep, kept) => {
  const file = await fileOf(text);
  expect(await truncateMetrics(file, lastStep)).toEqual({ kept, removed: 4 - kept });
  expect(await readMetrics(file)).toEqual(records.slice(0, kept));
  const writer = await openMetrics(file);
  await writer.append(records[0]!);
  await writer.close();
  expect(await readMetrics(file)).toEqual([...records.slice(0, kept), records[0]]);
});

test('a last line that is cut off at any byte is left out and removed', async () => {
  const bytes = new TextEncoder().encode(text);
  const lastLine = JSON.stringify(records[3]).length;
  for (let length = bytes.length - lastLine - 1; length < bytes.length; length++) {
    const file = newFile();
    await writeFile(file, bytes.subarray(0, length));
    // Only the newline is missing when the object is complete.
    const complete = length === bytes.length - 1;
    const left = complete ? records : records.slice(0, 3);
    expect(await readMetrics(file)).toEqual(left);
    const torn = length === bytes.length - lastLine - 1 || complete ? 0 : 1;
    expect(await truncateMetrics(file, 3)).toEqual({ kept: left.length, removed: torn });
    expect(await readFile(file, 'utf8')).toBe(left.map((record) => `${JSON.stringify(record)}\n`).join(''));
  }
});

test('a broken line before the last is named, and the file stays as it is', async () => {
  for (const broken of ['{"step":1', '[1]', 'null', '{"loss":1}', '{"step":"1"}', '']) {
    const file = await fileOf(`{"step":1}\n${broken}\n{"step":2}\n`);
    const failure = { code: 'invalid_data', message: expect.stringContaining(`${file}, line 2`) };
    await expect(readMetrics(file)).rejects.toMatchObject(failure);
    await expect(truncateMetrics(file, 1)).rejects.toMatchObject(failure);
    expect(await readFile(file, 'utf8')).toContain('{"step":2}');
  }
});

test('lines that lie across the borders of the pieces read are whole', async () => {
  const many = Array.from({ length: 40_000 }, (_, i) => ({ step: i + 1, note: 'é'.repeat(1 + ((i * 7) % 40)) }));
  const file = await fileOf(many.map((record) => `${JSON.stringify(record)}\n`).join(''));
  expect((await stat(file)).size).toBeGreaterThan(2 * 1024 * 1024);
  expect(await readMetrics(file)).toEqual(many);
  expect(await truncateMetrics(file, 35_000)).toEqual({ kept: 35_000, removed: 5000 });
  expect(await readMetrics(file)).toEqual(many.slice(0, 35_000));
});

test('a missing file is nothing to truncate, and an error to read', async () => {
  const file = newFile();
  expect(await truncateMetrics(file, 5)).toEqual({ kept: 0, removed: 0 });
  await expect(readMetrics(file)).rejects.toMatchObject({ code: 'not_found' });
  await expect(openMetrics(join(directory, 'none', 'a'))).rejects.toMatchObject({ code: 'not_found' });
  await expect(openMetrics(directory)).rejects.toMatchObject({ code: 'io' });
});
