import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine } from '../../src/engine/types.ts';
import { choiceRows, passedTests, testedRows } from '../../src/experiments/code-task.ts';
import type { Cell, Experiment, ExperimentRequest } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import { optionRows, removeTemporary, temporaryFolder, tinyModel } from '../train/tiny.ts';

const shipped = fileURLToPath(new URL('../../examples/beyond-english', import.meta.url));
const beyond = experiments['beyond-english'] as Experiment<{
  loss: number;
  accuracy: number;
  passed?: number;
  steps: number;
}>;

const head = '/** Returns the sum of a and b. */\nfunction sum(a, b) {';
const sum = {
  prompt: head,
  completion: ' return a + b; }',
  name: 'sum',
  tests: [
    [[1, 2], 3],
    [[2, 2], 4],
  ] as [unknown[], unknown][],
};

describe('functions are graded by their tests', () => {
  test.each([
    [' return a + b; }', 1],
    // 2 · 2 = 2 + 2.
    ['return a * b; }', 0.5],
    [' return a - b; }', 0],
    [' return nothing; }', 0],
    [' return a +', 0],
    [' for (;;); }', 0],
    [' JSON.stringify = () => "3"; return 0; }', 0],
  ])('%s', async (answer, share) => expect(await passedTests(answer, sum)).toBe(share));

  test('the shipped rows pass their own tests, and the others of a choice fail them', async () => {
    for (const split of ['train', 'evaluation'] as const) {
      const rows = await testedRows({ file: join(shipped, 'code') }, split);
      expect(rows.length).toBeGreaterThan(15);
      const made = await choiceRows(rows);
      expect(made).toHaveLength(rows.length);
      for (const [index, { options, label }] of made.entries()) {
        const bodies = options as string[];
        expect(new Set(bodies).size).toBe(4);
        expect(bodies[Number(label)]).toBe(rows[index]!.completion);
      }
    }
  });

  test('a row whose completion fails its own tests, and one without tests, are refused', async () => {
    await expect(choiceRows([{ ...sum, completion: ' return a; }' }])).rejects.toThrow(
      /the function "sum" does not pass the tests of its own row/,
    );
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'train.jsonl'), JSON.stringify({ ...sum, tests: [[1, 2]] }));
    await expect(testedRows({ file: folder }, 'train')).rejects.toThrow(/train\.jsonl:1: a row of a code task has/);
  });
});

test('the shipped languages say the same, with as many good as bad verdicts', async () => {
  const rows = await Promise.all(
    ['german', 'english'].map(async (name) => {
      const { loadDataset } = await import('../../src/data/load.ts');
      return (await loadDataset({ file: join(shipped, name) }, { split: 'evaluation' })).examples;
    }),
  );
  const [german, english] = rows.map((examples) => examples.map(({ label }) => label));
  expect(german).toEqual(english);
  expect(german!.filter((label) => label === 1)).toHaveLength(german!.length / 2);
});

describe('cells', () => {
  let request: ExperimentRequest;
  beforeAll(() => {
    request = { model: tinyModel(), data: { file: shipped }, seeds: [1, 2] };
  });

  test('every task as it is, and with every method and seed', async () => {
    const cells = await beyond.cells(request, []);
    expect(cells.filter(({ asItIs }) => asItIs).map(({ task }) => task)).toEqual(['code', 'english', 'german']);
    expect(cells.filter(({ asItIs }) => !asItIs)).toHaveLength(3 * 2 * 2);
  });

  test('what is not there is refused with a line', async () => {
    const cellsOf = async (own: Partial<ExperimentRequest>) => beyond.cells({ ...request, ...own }, []);
    await expect(cellsOf({ tasks: ['finnish'] })).rejects.toThrow(
      /no folder of the task finnish; there are code, english, german/,
    );
    await expect(cellsOf({ data: { file: temporaryFolder() } })).rejects.toThrow(/has no folder of a task/);
    await expect(cellsOf({ data: { task: 'sst2', directory: shipped } })).rejects.toThrow(/has its own tasks/);
    const data = temporaryFolder();
    mkdirSync(join(data, 'greek'));
    writeFileSync(join(data, 'greek', 'train.jsonl'), '');
    await expect(cellsOf({ data: { file: data } })).rejects.toThrow(/greek has no file for evaluation/);
  });
});

describe('on a model', () => {
  let engine: Engine;
  let request: ExperimentRequest;
  beforeAll(async () => {
    engine = await openEngine();
    const data = temporaryFolder();
    for (const [folder, rows] of [
      ['code', `${JSON.stringify(sum)}\n${JSON.stringify({ ...sum, name: 'sum', completion: ' return b + a; }' })}\n`],
      ['klingon', optionRows(8)],
    ] as const) {
      mkdirSync(join(data, folder));
      for (const file of ['train.jsonl', 'test.jsonl']) writeFileSync(join(data, folder, file), rows);
    }
    const other = { ...sum, completion: ' return a - b; }', name: 'less', prompt: head.replace('sum(', 'less(') };
    const differing = { ...other, tests: [[[3, 1], 2]] };
    writeFileSync(join(data, 'code', 'test.jsonl'), `${JSON.stringify(sum)}\n${JSON.stringify(differing)}\n`);
    request = { model: tinyModel(), data: { file: data }, seeds: [1], steps: 2 };
  });
  afterAll(async () => {
    await engine.close();
    removeTemporary();
  });
  const measure = (cell: Cell, own: Partial<ExperimentRequest> = {}) =>
    beyond.measure(
      {
        ...{ engine, request: { ...request, ...own }, signal: new AbortController().signal },
        ...{ folder: temporaryFolder(), kept: temporaryFolder() },
      },
      cell,
    );

  test('code is chosen and written, languages are chosen', async () => {
    const before = await measure({ task: 'code', asItIs: true });
    // Two functions, of which random weights write none.
    expect(before).toMatchObject({ passed: 0, steps: 0 });
    expect([0, 0.5, 1]).toContain(before.accuracy);
    const after = await measure({ task: 'code', optimizer: 'mezo', learningRate: 1e-2, seed: 1 });
    expect(after.steps).toBe(2);
    expect(after.loss).not.toBe(before.loss);
    expect(await measure({ task: 'klingon', asItIs: true })).not.toHaveProperty('passed');
    // A single function has no other body beside it.
    expect(await measure({ task: 'code', asItIs: true }, { limit: 1 })).toMatchObject({ accuracy: null, passed: 0 });
  });

  test('rows are read as asked, trained on and evaluated', async () => {
    const data = temporaryFolder();
    mkdirSync(join(data, 'vulcan'));
    const rows = optionRows(8).replaceAll('"prompt"', '"said"');
    for (const file of ['train.jsonl', 'test.jsonl']) writeFileSync(join(data, 'vulcan', file), rows);
    const own = { data: { file: data }, reading: { columns: ['prompt=said'] } };
    const asItIs = await measure({ task: 'vulcan', asItIs: true }, own);
    expect(asItIs).toEqual(await measure({ task: 'klingon', asItIs: true }));
    const run = { optimizer: 'mezo', learningRate: 1e-2, seed: 1 };
    expect(await measure({ task: 'vulcan', ...run }, own)).toEqual(await measure({ task: 'klingon', ...run }));
  });

  test('the report says in its first line what training reached, beside what was there before', async () => {
    const reached = (accuracy: number, passed?: number) => ({
      ...{ loss: 1, accuracy, failed: false, steps: 300 },
      ...(passed === undefined ? {} : { passed }),
    });
    const run = (task: string, seed: number, result: ReturnType<typeof reached>) => ({
      cell: { task, optimizer: 'mezo', learningRate: 1e-4, seed },
      result,
      seconds: 1,
    });
    const { lead, sections } = await beyond.report(request, [
      { cell: { task: 'code', asItIs: true }, result: reached(0.25, 0), seconds: 1 },
      { cell: { task: 'klingon', asItIs: true }, result: reached(0.5), seconds: 1 },
      ...[run('code', 1, reached(0.5, 0.125)), run('klingon', 1, reached(0.7)), run('klingon', 2, reached(0.8))],
    ]);
    expect(lead).toBe(
      'On no task does accuracy move beyond its 95 % interval. code: accuracy 0.5000 with mezo, η 0.0001, 0.2500 ' +
        'before, and 12.5 % of the functions that it writes pass their ' +
        // Two seeds: t of one degree, 12.706, times 0.05.
        'tests, 0.0 % before; klingon: accuracy 0.7500 ± 0.6353 with mezo, η 0.0001, 0.5000 before.',
    );
    expect(sections[0]!.table!.rows).toHaveLength(4);
    const moved = await beyond.report(request, [
      { cell: { task: 'klingon', asItIs: true }, result: reached(0.9), seconds: 1 },
      ...[run('klingon', 1, reached(0.7)), run('klingon', 2, reached(0.7))],
    ]);
    expect(moved.lead).toMatch(/^Accuracy moves beyond its 95 % interval on klingon \(down\)\. klingon: /);
  });
});
