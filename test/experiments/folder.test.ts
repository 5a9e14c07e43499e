import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/types.ts';
import { conduct, type ExperimentEvent } from '../../src/experiments/conduct.ts';
import { type Cell, defineExperiment, type ExperimentRequest } from '../../src/experiments/experiment.ts';
import { readCells } from '../../src/experiments/folder.ts';
import { removeTemporary, temporaryFolder, tinyModel } from '../train/tiny.ts';

afterAll(removeTemporary);

const engine = { info: async () => ({ adapter: { description: 'a card', device: '' } }) } as unknown as Engine;
const request: ExperimentRequest = { model: 'm', data: { file: 'd' }, seeds: [1, 2, 3] };

/** The value of every seed, which may be given twice. */
function values(resultOf: (seed: number) => number, kept: string[] = []) {
  return defineExperiment<number>({
    title: 'Values',
    question: 'What is it?',
    method: 'By looking.',
    reads: ['ranks'],
    data: ['train'],
    cells: ({ seeds, ranks = [1] }) => seeds.flatMap((seed) => ranks.map(() => ({ seed }))),
    async measure({ kept: shared }, { seed }: Cell) {
      if (existsSync(shared)) kept.push(readFileSync(join(shared, 'shared'), 'utf8'));
      mkdirSync(shared, { recursive: true });
      writeFileSync(join(shared, 'shared'), String(seed));
      return resultOf(Number(seed));
    },
    report: (_, finished) => ({ lead: finished.map(({ result }) => String(result)).join(' '), sections: [] }),
  });
}

interface Wanted {
  experiment?: ReturnType<typeof values>;
  own: Partial<ExperimentRequest>;
  stopAfter?: number;
}

async function run(out: string, { experiment = values((seed) => seed), own, stopAfter = 99 }: Wanted) {
  const stop = new AbortController();
  const events: ExperimentEvent[] = [];
  const made = { name: 'values', experiment, request: { ...request, ...own }, out };
  for await (const event of conduct(engine, made, stop.signal)) {
    events.push(event);
    if (event.type === 'finished' && event.done >= stopAfter) stop.abort();
  }
  return events;
}

function rows(): { data: { file: string } } {
  const file = join(temporaryFolder(), 'rows.jsonl');
  writeFileSync(file, '{"text": "a"}\n');
  return { data: { file } };
}

test('a folder of somebody else is refused, and nothing in it is touched', async () => {
  const out = temporaryFolder();
  mkdirSync(join(out, 'work'));
  writeFileSync(join(out, 'work', 'thesis.txt'), 'precious');
  writeFileSync(join(out, 'report.md'), 'mine');
  writeFileSync(join(out, 'cells.jsonl'), '{"half');
  await expect(run(out, { own: rows() })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(/holds cells\.jsonl, report\.md, work of something else, as it has no exp/),
  });
  expect(readdirSync(out).sort()).toEqual(['cells.jsonl', 'report.md', 'work']);
  expect(readFileSync(join(out, 'work', 'thesis.txt'), 'utf8')).toBe('precious');
  expect(readFileSync(join(out, 'report.md'), 'utf8')).toBe('mine');
  expect(readFileSync(join(out, 'cells.jsonl'), 'utf8')).toBe('{"half');
  // What is not written over is in nobody's way.
  const logged = temporaryFolder();
  writeFileSync(join(logged, 'log.txt'), '');
  expect((await run(logged, { own: rows() })).at(-1)).toMatchObject({ complete: true });
  const file = join(temporaryFolder(), 'file');
  writeFileSync(file, '');
  await expect(run(file, { own: rows() })).rejects.toThrow(/file is a file; name a folder with --out/);
});

test('a model or rows that changed are not gone on with, unless nothing is left to measure', async () => {
  const model = tinyModel('llama-tiny', join(temporaryFolder(), 'model'));
  const own = { ...rows(), model };
  const out = temporaryFolder();
  await run(out, { own, stopAfter: 1 });
  const weights = join(model, 'model.safetensors');
  const before = readFileSync(weights);
  const other = Uint8Array.from(before);
  other[other.length - 1]! ^= 1;
  writeFileSync(weights, other);
  await expect(run(out, { own })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(`the model ${model} changed since the first of 1 cells`),
  });
  writeFileSync(weights, before);
  writeFileSync(own.data.file, '{"text": "b"}\n');
  await expect(run(out, { own })).rejects.toThrow(/^the rows of the data changed/);
  writeFileSync(own.data.file, '{"text": "a"}\n');
  expect((await run(out, { own })).at(-1)).toMatchObject({ complete: true });
  writeFileSync(own.data.file, '{"text": "b"}\n');
  expect((await run(out, { own })).at(-1)).toMatchObject({ complete: true });
});

test('folders that do not say what they were measured with are gone on with', async () => {
  const out = temporaryFolder();
  const own = rows();
  await run(out, { own, stopAfter: 1 });
  const file = join(out, 'experiment.json');
  const { inputs, ...identity } = JSON.parse(readFileSync(file, 'utf8'));
  expect(inputs).toEqual({ data: expect.stringMatching(/^[0-9a-f]{64}$/) });
  writeFileSync(file, `${JSON.stringify(identity, null, 2)}\n`);
  writeFileSync(own.data.file, '{"text": "b"}\n');
  expect((await run(out, { own })).at(-1)).toMatchObject({ complete: true });
});

test('what cells before the first finished one shared is not that of other rows', async () => {
  const out = temporaryFolder();
  const own = rows();
  // As after a power failure in the first cell.
  await run(out, { own, stopAfter: 1 });
  writeFileSync(join(out, 'cells.jsonl'), '');
  writeFileSync(own.data.file, '{"text": "b"}\n');
  const kept: string[] = [];
  await run(out, { experiment: values((seed) => seed, kept), own });
  expect(kept).toEqual(['1', '2']);
});

test('a folder that a process left at once is the next one’s', async () => {
  const out = temporaryFolder();
  for (const name of ['experiment.lock.takeover', 'experiment.json.partial']) writeFileSync(join(out, name), '');
  const own = rows();
  await run(out, { own, stopAfter: 1 });
  // As after a power failure while the first line was being written.
  rmSync(join(out, 'report.md'));
  writeFileSync(join(out, 'cells.jsonl'), '{"cell":{"se');
  const failing = values(() => {
    throw new Error('the power failed');
  });
  await expect(run(out, { experiment: failing, own })).rejects.toThrow('the power failed');
  expect((await run(out, { own: { ...own, seeds: [7] } })).at(-1)).toMatchObject({ lead: '7', complete: true });
});

test('a line that is no cell is named, and one that is there twice counts once', async () => {
  const out = temporaryFolder();
  const own = rows();
  await run(out, { own, stopAfter: 2 });
  const file = join(out, 'cells.jsonl');
  const lines = readFileSync(file, 'utf8');
  // Two copies of the folder put together.
  appendFileSync(file, lines);
  expect((await run(out, { own })).at(-1)).toMatchObject({ lead: '1 2 3', complete: true });
  for (const broken of ['{"cell":{"seed":1},"re', '\u0000\u0000', '{}', '4']) {
    writeFileSync(file, `${broken}\n${lines}`);
    await expect(run(out, { own }), broken).rejects.toThrow(/cells\.jsonl:1 is no line of a measured cell: .*; remove/);
  }
  writeFileSync(join(out, 'experiment.json'), '{"exper');
  writeFileSync(file, lines);
  await expect(run(out, { own })).rejects.toThrow(/experiment\.json is no JSON: /);
});

test('a cell that is asked for twice is one cell', async () => {
  const events = await run(temporaryFolder(), { own: { ...rows(), ranks: [4, 4] } });
  expect(events.filter(({ type }) => type === 'finished')).toMatchObject([
    { done: 1, cells: 3 },
    { done: 2, cells: 3 },
    { done: 3, cells: 3 },
  ]);
});

test('numbers that are none come back as they were, and not as 0', async () => {
  const out = temporaryFolder();
  const own = rows();
  const infinite = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const experiment = values((seed) => infinite[seed - 1]!);
  expect((await run(out, { experiment, own })).at(-1)).toMatchObject({ lead: 'NaN Infinity -Infinity' });
  expect((await readCells(out)).map(({ result }) => result)).toEqual(infinite);
  expect((await run(out, { experiment, own })).at(-1)).toMatchObject({ lead: 'NaN Infinity -Infinity' });
});
