import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cell, Experiment, ExperimentRequest, Finished } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import { matrixKinds } from '../../src/experiments/matrices.ts';
import { plotSvg } from '../../src/experiments/plot.ts';
import type { TaskCell } from '../../src/experiments/table.ts';
import { removeTemporary, temporaryFolder, tinyModel } from '../train/tiny.ts';

let model: string;
let request: ExperimentRequest;
beforeAll(() => {
  model = tinyModel();
  request = { model, data: { file: 'd' }, seeds: [1, 2, 3] };
});
afterAll(removeTemporary);

/** Finishes all cells there are, by a rule, until there are no more. */
async function finishAll<R>(name: string, rule: (cell: Cell) => R, own: Partial<ExperimentRequest> = {}) {
  const experiment = experiments[name]! as Experiment<R>;
  const given = { ...request, ...own };
  const finished: Finished<R>[] = [];
  for (;;) {
    const cells = await experiment.cells(given, finished);
    const next = cells.find((cell) => !finished.some((each) => JSON.stringify(each.cell) === JSON.stringify(cell)));
    if (!next) break;
    finished.push({ cell: next, result: rule(next), seconds: 1 });
  }
  const report = await experiment.report(given, finished);
  for (const { plot } of report.sections) expect(plot?.svg ?? '').not.toMatch(/NaN|Infinity/);
  return report;
}

const trained = (loss: number | null) => ({
  ...{ loss, accuracy: loss === null ? null : 1 - loss, steps: 100, passes: 200, trainSeconds: 1 },
  failed: loss === null,
});

test('refresh: failed runs are counted, and recommend nothing', async () => {
  const own = { steps: 100, refreshes: [1, 10, 100] };
  const one = await finishAll(
    'refresh',
    ({ refresh, seed }) => trained(refresh === 1 && seed === 2 ? null : 0.1 * Number(seed) + 1 / Number(refresh)),
    own,
  );
  expect(one.lead).toMatch(/F = 100 .* lowest mean loss \(0\.2100 ± 0\.2484\), where runs of F = 1 failed; 3 seeds/);
  const { rows } = one.sections[0]!.table!;
  // 1.1 and 1.3: 1.2 with 12.706 · 0.1.
  expect(rows[0]!.slice(1, 4)).toEqual(['1', '3 (1 failed)', '1.2000 ± 1.2706']);
  const all = await finishAll('refresh', () => trained(null), own);
  expect(all.lead).toContain('runs failed at every F (1, 10, 100 (∞)), so that none can be recommended');
  const single = await finishAll('refresh', () => trained(0.5), { ...own, refreshes: [10] });
  expect(single.lead).toMatch(/has the lowest mean loss \(0\.5000 ± 0\.0000\)\.$/);
});

test('refresh: a period beyond the end counts as the whole run', async () => {
  const { lead } = await finishAll(
    'refresh',
    ({ refresh, seed }) => trained(1 - 0.1 * Math.log10(Math.min(10, Number(refresh))) + 0.1 * Number(seed)),
    { steps: 10, refreshes: [1, 10, 1000] },
  );
  expect(lead).toContain('ten times the period changes the loss by -0.1000 ± 0.0000');
});

test('methods: one that failed is not the best, and one seed shows nothing', async () => {
  const own = { optimizers: ['subzero', 'mezo'] };
  const failing = await finishAll('methods', ({ optimizer }) => trained(optimizer === 'subzero' ? null : 0.25), own);
  expect(failing.lead).toMatch(/^mezo, full reaches the highest mean accuracy, 0\.7500 ± 0\.0000, – above subzero/);
  expect(failing.sections[0]!.table!.rows[0]!.slice(3, 6)).toEqual(['3 (3 failed)', '–', '']);
  const half = await finishAll(
    'methods',
    ({ optimizer, seed }) => trained(optimizer === 'subzero' && seed === 2 ? null : 0.25),
    own,
  );
  expect(half.lead).toBe('subzero, full reaches the highest mean accuracy, 0.7500 ± 0.0000 (1 of 3 runs failed).');
  expect(half.sections[0]!.table!.rows[0]!.slice(3, 5)).toEqual(['3 (1 failed)', '0.7500 ± 0.0000']);
  const single = await finishAll('methods', ({ optimizer }) => trained(optimizer === 'mezo' ? 0.25 : 0.5), {
    ...own,
    seeds: [1],
  });
  expect(single.lead).toContain('0.2500 above subzero, full; fewer than two pairs of runs say nothing of how sure');
});

test('second-order: runs that failed at their first step leave the time of the others', async () => {
  const { lead, sections } = await finishAll('second-order', ({ optimizer, seed }) => {
    const failed = optimizer === 'mezo';
    const curve = failed ? [] : [50, 100].map((step) => ({ step, loss: 1 - step / 200 + 0.01 * Number(seed) }));
    return {
      ...{ curve, steps: 100, stepMilliseconds: failed ? Number.NaN : 10, plannedBytes: 1000, factorBytes: 100 },
      failed,
    };
  });
  expect(lead).toContain('against subzero, r 8 is not told apart (0.0000 ± 0.0000)');
  expect(sections[0]!.text).toContain('The time is 1 s of steps.');
  const mezo = sections[0]!.table!.rows.find(([title]) => title === 'mezo')!;
  expect(mezo[2]).toBe('3 (3 failed)');
  expect(mezo.slice(6)).toEqual(['–', '–', '–', '–']);
});

test('reshape: one seed has no interval to say anything by', async () => {
  const own = { schemes: ['lora'], steps: 1 };
  const { lead } = await finishAll('reshape', ({ square }) => trained(square ? 0.1 : 0.9), { ...own, seeds: [1] });
  expect(lead).toMatch(/^After 1 step, in 2 cases, no view is measured with both of two seeds/);
  const failing = await finishAll('reshape', ({ square, seed }) => trained(square && seed === 1 ? null : 0.5), own);
  expect(failing.sections[0]!.table!.rows[0]!.slice(6, 8)).toEqual(['3 (1 run failed)', '0.5000 ± 0.0000']);
});

test('scale: what one seed does not show is not said', async () => {
  const { lead } = await finishAll(
    'scale',
    ({ factor }) => ({
      ...{ parameters: 100 * Number(factor), tokens: 10, stepMilliseconds: Number(factor) ** 2, plannedBytes: 1 },
      ...{ journalBytes: 1, replayMilliseconds: 1 },
    }),
    { seeds: [0] },
  );
  expect(lead).toContain('layers 2.00');
  expect(lead).toContain('One seed does not show whether anything grows faster than its work.');
});

test('table: differences of one seed, and of one example, do not stand', async () => {
  const file = join(temporaryFolder(), 'rows.jsonl');
  writeFileSync(file, '');
  const own = { data: { task: 'rte', directory: file }, optimizers: ['subzero', 'mezo'] };
  const result = (scores: number[]): TaskCell => ({
    ...{ validationLoss: 1, scores, steps: 300, passes: 600, trainSeconds: 2, failed: false },
  });
  const right = (count: number, of: number) => Array.from({ length: of }, (_, index) => (index < count ? 1 : 0));
  const rule = (of: number) => (cell: Cell) => result(right(cell.optimizer === 'mezo' ? of : 0, of));
  const one = await finishAll('table', rule(20), { ...own, seeds: [1] });
  expect(one.lead).toMatch(/^No method has two seeds beside SubZero, without which no difference stands\. /);
  expect(one.sections[1]!.table!.rows[0]!.slice(4)).toEqual(['–', '0.0010', '–']);
  const few = await finishAll('table', rule(1), own);
  expect(few.lead).toMatch(/^None of 1 differences from SubZero stands/);
  expect(few.sections[1]!.table!.rows[0]!.slice(5)).toEqual(['1.0000', '1.0000']);
  // Six coins fall on the same side once in 32 times.
  const more = await finishAll('table', rule(6), own);
  expect(more.sections[1]!.table!.rows[0]!.slice(5)).toEqual(['0.0313', '0.0313']);
});

test('reward curves: a run that failed is told, and the others have their curve', async () => {
  const rule = ({ seed }: Cell) =>
    seed === 2
      ? { points: [], trainSeconds: 1, failed: true }
      : { points: [0, 10].map((step) => ({ step, value: step / 20 })), trainSeconds: 1 };
  const rows = temporaryFolder();
  for (const name of ['train', 'test']) writeFileSync(join(rows, `${name}.jsonl`), `{"prompt": "${name}"}\n`);
  const { lead, sections } = await finishAll('reward-length', rule, { data: { file: rows } });
  expect(lead).toMatch(/from 0\.000 to 0\.500 ± 0\.000, .*\. 1 of 3 runs failed: reward, η 0\.0001\.$/);
  expect(sections[0]!.table!.rows[0]!.slice(1, 3)).toEqual(['2', '0.000 ± 0.000']);
  const failed = await finishAll('reward-length', () => rule({ seed: 2 }), { data: { file: rows } });
  expect(failed.lead).toBe('3 of 3 runs failed: reward, η 0.0001.');
});

test('variance and rank-spectrum: a matrix without a gradient is left out by name', async () => {
  const names = [...(await matrixKinds(model)).values()].map(({ names }) => names[0]!);
  const [flat] = names;
  const own = { optimizers: ['subzero'], ranks: [4] };
  const measured = ({ matrix }: Cell) =>
    matrix === flat
      ? { directions: 64, square: 0, cosine: Number.NaN, moment: 0 }
      : { directions: 64, square: 9, cosine: 9, moment: 9 };
  const estimates = await finishAll('variance', measured, own);
  expect(estimates.lead).not.toContain('–');
  expect(estimates.sections[0]!.text).toMatch(
    /Left out, as these examples have no gradient there: layers\.0\.[\w.]+\.$/,
  );
  expect(estimates.sections[1]!.table!.rows.length).toBe(2 * names.length - 1);
  const spectrum = (none: boolean) => (cell: Cell) => {
    const value = none || cell.matrix === flat ? 0 : 1;
    return { singularValues: [value, value / 10], explained: value === 0 ? Number.NaN : 1, directions: 18 };
  };
  const some = await finishAll('rank-spectrum', spectrum(false), { ranks: [2] });
  expect(some.sections[0]!.text).toMatch(/Left out, .*: layers\.0\.[\w.]+\.$/);
  expect(JSON.stringify(some.sections[0]!.table!.rows)).not.toContain('–');
  expect((await finishAll('rank-spectrum', spectrum(true), { ranks: [2] })).lead).toMatch(
    /^There is nothing to see\. /,
  );
});

test('plots leave out what is no number, and what a logarithmic axis has no place for', () => {
  const points = [
    { x: 0, y: 1 },
    { x: 1, y: Number.NaN },
    { x: 2, y: 3, error: 4 },
    { x: 4, y: 0 },
  ];
  const svg = plotSvg({
    ...{ title: 't', xTitle: 'x', yTitle: 'y', xLogarithmic: true, yLogarithmic: true },
    series: [
      { name: 'some', points },
      { name: 'none', points: [] },
    ],
  });
  expect(svg).not.toMatch(/NaN|Infinity/);
  // One of the line, two of the legend; the interval reaches down to the end of the axis.
  expect(svg.match(/<circle /g)).toHaveLength(3);
  expect(svg.match(/<line class="bar c0"/g)).toHaveLength(1);
});
