import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Cell, ExperimentRequest, Finished } from '../../src/experiments/experiment.ts';
import { grouped } from '../../src/experiments/groups.ts';
import { experiments } from '../../src/experiments/index.ts';
import { publishedOf } from '../../src/experiments/published-scores.ts';
import { endsOfSearches } from '../../src/experiments/search.ts';
import { holm, studentProbability } from '../../src/experiments/statistics.ts';
import { constantAnswer, type TaskCell } from '../../src/experiments/table.ts';
import { removeTemporary, temporaryFolder, tinyModel } from '../train/tiny.ts';

const table = experiments.table!;
let request: ExperimentRequest;

beforeAll(() => {
  const data = temporaryFolder();
  for (const folder of ['RTE', 'c-b']) {
    mkdirSync(join(data, folder));
    for (const file of ['train.jsonl', 'val.jsonl']) writeFileSync(join(data, folder, file), '');
  }
  request = {
    model: tinyModel(),
    data: { file: data },
    tasks: ['rte', 'cb'],
    seeds: [1, 2, 3],
    optimizers: ['subzero', 'mezo', 'sparse-mezo'],
    schemes: ['full', 'lora'],
  };
});

afterAll(removeTemporary);

const result = (scores: number[], validationLoss: number | null = 1): TaskCell => ({
  ...{ validationLoss, scores, steps: 300, passes: 600, trainSeconds: 2, failed: validationLoss === null },
});

const methodOf = ({ task, scheme, optimizer }: Cell): string => `${task} ${scheme} ${optimizer}`;

/** Finishes all cells there are, by a rule, until there are no more. */
async function finishAll(rule: (cell: Cell) => TaskCell, own: Partial<ExperimentRequest> = {}) {
  const finished: Finished<TaskCell>[] = [];
  for (;;) {
    const cells = await table.cells({ ...request, ...own }, finished);
    const known = new Set(finished.map(({ cell }) => JSON.stringify(cell)));
    const next = cells.find((cell) => !known.has(JSON.stringify(cell)));
    if (!next) return finished;
    finished.push({ cell: next, result: rule(next), seconds: 1 });
  }
}

test('every method has the same search: as many rates and passes, chosen by the validation loss alone', async () => {
  // The rate with the lowest loss has the worst score; the highest rate fails.
  const rates = [1e-5, 1e-4, 1e-3];
  const optimizers = ['subzero', 'subzero-plus', 'mezo', 'sparse-mezo', 'hizoo'];
  const finished = await finishAll(
    ({ learningRate, asItIs }) => {
      if (asItIs) return result([0, 1]);
      return learningRate === 1e-3
        ? result([], null)
        : result([learningRate === 1e-4 ? 0 : 1], 1e-5 / Number(learningRate));
    },
    { learningRates: rates, optimizers, schemes: ['full', 'lora', 'prompt', 'prefix'] },
  );
  const trained = finished.filter(({ cell }) => !cell.asItIs && !cell.short);
  const groups = grouped(trained, methodOf);
  expect(groups.size).toBe(2 * 4 * 5);
  for (const [name, cells] of groups) {
    const searched = cells.filter(({ cell }) => cell.seed === 1);
    expect(
      searched.map(({ cell }) => cell.learningRate),
      name,
    ).toEqual(rates);
    const others = cells.filter(({ cell }) => cell.seed !== 1);
    expect(
      others.map(({ cell }) => [cell.seed, cell.learningRate]),
      name,
    ).toEqual([
      [2, 1e-4],
      [3, 1e-4],
    ]);
    // Points of a step: two, three of HiZOO, and of SubZero+ as many as leave it ten steps: 59 directions and a centre.
    const points = name.endsWith('subzero-plus') ? 60 : name.endsWith('hizoo') ? 3 : 2;
    expect(new Set(cells.map(({ cell }) => Number(cell.steps) * points)), name).toEqual(new Set([600]));
  }
});

test('without rates every grid has three, as far apart', async () => {
  const cells = (await table.cells(request, [])).filter(({ asItIs }) => !asItIs);
  const finished = cells.map((cell) => ({ cell, result: undefined, seconds: 0 }));
  const grids = grouped(finished, methodOf);
  expect(grids.size).toBe(12);
  for (const grid of grids.values()) {
    const [low, middle, high] = grid.map(({ cell }) => Number(cell.learningRate)) as [number, number, number];
    expect(grid).toHaveLength(3);
    expect(middle / low).toBeCloseTo(4, 2);
    expect(high / middle).toBeCloseTo(4, 2);
  }
  // The published rates times 50, as the model is small.
  expect(cells.find(({ scheme, optimizer }) => scheme === 'full' && optimizer === 'mezo')!.learningRate).toBe(1.25e-5);
});

describe('the report', () => {
  /** Twenty examples, of which so many are right. */
  const right = (count: number) => Array.from({ length: 20 }, (_, index) => (index < count ? 1 : 0));
  const reportOf = async (sparse: number, short: number) => {
    const finished = await finishAll(({ asItIs, short: isShort, optimizer, task, seed }) => {
      if (asItIs) return result(right(8));
      if (optimizer !== 'sparse-mezo' || task !== 'rte') return result(right(10));
      // Seeds differ by one example to either side.
      return result(right((isShort ? short : sparse) + Number(seed) - 2));
    });
    expect(
      finished.filter(({ cell }) => cell.short).map(({ cell }) => [cell.optimizer, cell.scheme, cell.steps]),
    ).toEqual(Array(3).fill(['sparse-mezo', 'full', 85]));
    return table.report(request, finished);
  };

  test('says whether the claim on RTE passes, and which differences stand', async () => {
    const passed = await reportOf(18, 11);
    // 90 % of 20 against 50 %, with ±5 by seed: t of two degrees 4.303 · 5/√3 = 12.4.
    expect(passed.lead).toContain('passes here for accuracy, with 40.0 ± 12.4 points, and passes for speed');
    // Eleven of 20 against ten, with ±5 by seed.
    expect(passed.lead).toContain('for speed, with 5.0 ± 12.4 points, which these seeds do not decide.');
    expect(passed.lead).not.toContain('Contradicts');
    expect(passed.lead).toContain('sparse-mezo (full) on rte by 40.0 ± 12.4 points');
    // Twenty examples, 40 % of which the model has right as it is.
    expect(passed.lead).toMatch(
      /rte 90\.0 ± 12\.4 with sparse-mezo \((full|lora)\), 40\.0 as it is; cb 50\.0 ± 0\.0 with /,
    );
    const failed = await reportOf(10, 9);
    expect(failed.lead).toContain('fails here for accuracy, with 0.0 ± 12.4 points, and fails for speed');
    // The interval includes the claim's nine points.
    expect(failed.lead).not.toContain('Contradicts');
    expect(failed.lead).toContain('None of 8 differences from SubZero stands at a level of 5 % together.');
    expect(failed.sections.find(({ title }) => title.includes('claim'))!.text).toContain('do not decide');
  });

  test('says that it contradicts the paper where the seeds decide, and where MeZO itself learns nothing', async () => {
    // No seed tells Sparse MeZO from MeZO.
    const leadOf = async (mezo: number) => {
      const finished = await finishAll(({ asItIs }) => result(right(asItIs ? 8 : mezo)));
      return (await table.report(request, finished)).lead;
    };
    const better = await leadOf(10);
    expect(better).toMatch(/^Contradicts Sparse MeZO’s paper, at this size and in so few steps\. /);
    expect(better).not.toContain('MeZO itself');
    const vain = await leadOf(8);
    expect(vain).toContain('MeZO itself is no better there than the model as it is');
    expect(vain).not.toContain('Contradicts');
    expect(vain).toContain('Highest means: rte 40.0 as it is, above which no method has come; cb 40.0 as it is');
  });

  test('has a column for each task, a row for the model as it is, and names failures', async () => {
    const finished = await finishAll(({ asItIs, optimizer, seed, short }) => {
      if (asItIs) return result(right(8));
      return optimizer === 'mezo' && seed === 2 && !short ? result([], null) : result(right(10));
    });
    const { sections } = await table.report(request, finished);
    const { header, rows } = sections[0]!.table!;
    expect(header).toEqual(['method', 'rte, 20 rows', 'cb, 20 rows']);
    expect(rows[0]).toEqual(['the model as it is', '40.0', '40.0']);
    expect(rows.find(([name]) => name === 'mezo')).toEqual(['mezo', '50.0 ± 0.0 (1 failed)', '50.0 ± 0.0 (1 failed)']);
    expect(sections[0]!.plot!.svg.match(/<circle class="dot c2" cx="[\d.]+" cy="[\d.]+" r="4"/g)).toHaveLength(3);
  });
});

test('what stays below the most frequent answer is said to', async () => {
  expect(constantAnswer([{ correct: [2] }, { correct: [0] }, { correct: [2] }, { correct: [1, 2] }])).toEqual({
    constant: 0.75,
  });
  expect(constantAnswer([{}, {}])).toEqual({});
  const reportOf = async (constant?: number) => {
    const finished = await finishAll(({ asItIs }) => {
      if (!asItIs) return result([1, 1, 0, 0]);
      return { ...result([1, 0, 0, 0]), ...(constant === undefined ? {} : { constant }) };
    });
    return table.report(request, finished);
  };
  const below = await reportOf(0.5);
  expect(below.lead).toMatch(/rte 50\.0 .*, 25\.0 as it is, 50\.0 by always the same option; cb 50\.0 /);
  const rowOf = ({ sections }: typeof below) => sections[0]!.table!.rows.find(([name]) => name!.startsWith('always'));
  expect(rowOf(below)).toEqual(['always the same option', '50.0', '50.0']);
  expect((await reportOf(0.25)).lead).not.toContain('same option');
  // Folders of earlier versions do not have it.
  expect(rowOf(await reportOf())).toBeUndefined();
});

test('an interruption before the first run leaves no sentence without content', async () => {
  expect((await table.report(request, [])).lead).toBe('No method is measured beside SubZero over several seeds.');
});

test('rates at an end of the search are named, or counted where they are many', () => {
  const searches = (rates: readonly number[]) =>
    rates.map((learningRate, index) => ({ title: `m${index}`, learningRate, tried: [1, 2, 4] }));
  expect(endsOfSearches(searches([2, 2]))).toBe('');
  expect(endsOfSearches(searches([1, 2, 4]))).toContain('for m0 (1), m2 (4): one beyond');
  expect(endsOfSearches(searches([1, 1, 1, 1, 4, 4, 4, 2]))).toContain('for 7 of 8 methods: one beyond');
});

test('published rows stand beside the model that they are of', () => {
  const config = { model_type: 'opt', hidden_size: 5120, num_hidden_layers: 40, vocab_size: 50272 };
  expect(publishedOf(config)!.scores.rte).toEqual({ sgd: 82.3, mezo: 71.5, 'sparse-mezo': 76.9, subzero: 74 });
  expect(publishedOf({ ...config, num_hidden_layers: 24 })).toBeUndefined();
});

describe('what cannot be measured is refused with a line', () => {
  const cellsOf = async (own: Partial<ExperimentRequest>) => table.cells({ ...request, ...own }, []);

  test('a task without a folder, or without its files', async () => {
    await expect(cellsOf({ tasks: ['rte', 'copa'] })).rejects.toThrow(
      /has no folder of the task copa; there are RTE, c-b/,
    );
    mkdirSync(join((request.data as { file: string }).file, 'wic'));
    await expect(cellsOf({ tasks: ['wic'] })).rejects.toThrow(/has no train file of task wic: looked for train\.jsonl/);
  });

  test('fewer passes than a step of one of the methods takes', async () => {
    await expect(cellsOf({ optimizers: ['hizoo'], tasks: ['cb'], steps: 1 })).rejects.toThrow(
      /a step of hizoo takes 3 passes over a batch, and every method gets 2; give at least 2 steps/,
    );
    const steps = async (given: number) =>
      (await cellsOf({ optimizers: ['subzero-plus'], tasks: ['cb'], steps: given })).at(-1)!.steps;
    // 9 directions and a centre in 100 passes; one of each in 2; its own 99 and a centre from 1000 on.
    expect([await steps(50), await steps(1), await steps(600)]).toEqual([10, 1, 12]);
  });

  test('an unknown task, one without prompts for the model, and data without a task', async () => {
    await expect(cellsOf({ tasks: ['sst9'] })).rejects.toThrow(/unknown task "sst9"/);
    const { file } = request.data as { file: string };
    mkdirSync(join(file, 'snli'));
    for (const name of ['train.jsonl', 'dev.jsonl']) writeFileSync(join(file, 'snli', name), '');
    await expect(cellsOf({ tasks: ['snli'] })).rejects.toThrow(/snli has no prompts for causal language models/);
    const { tasks: _, ...without } = request;
    await expect(async () => table.cells(without, [])).rejects.toThrow(
      /there is no task: give --task NAME, or --tasks/,
    );
  });
});

test("Student's test by the tables: points of 5 %, of even and odd degrees of freedom", () => {
  /** Values with a t of so much. */
  const withT = (t: number, count: number) => {
    const values = Array.from({ length: count }, (_, index) => index);
    const centre = (count - 1) / 2;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (count - 1) / count);
    return values.map((value) => value - centre + t * deviation);
  };
  for (const [count, point] of [
    [2, 12.7062],
    [3, 4.30265],
    [4, 3.18245],
    [5, 2.77645],
    [6, 2.57058],
    [11, 2.22814],
    [20, 2.09302],
  ] as const) {
    expect(studentProbability(withT(point, count)), `${count} values`).toBeCloseTo(0.05, 5);
    expect(studentProbability(withT(-point, count)), `${count} values`).toBeCloseTo(0.05, 5);
  }
  expect(studentProbability([1, -1])).toBe(1);
  expect(studentProbability([2, 2])).toBe(0);
  expect(studentProbability([2])).toBeNaN();
});

test('probabilities of several comparisons, by hand', () => {
  // 0.01 × 3; 0.02 × 2, no less than the one before; 0.9 × 1.
  expect(holm([0.02, 0.9, 0.01])).toEqual([0.04, 0.9, 0.03]);
  expect(holm([0.6, 0.5])).toEqual([1, 1]);
  expect(holm([])).toEqual([]);
  // One that is not known is no comparison: 0.02 × 2.
  expect(holm([Number.NaN, 0.02, 0.9])).toEqual([Number.NaN, 0.04, 0.9]);
});
