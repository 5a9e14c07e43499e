import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cell, ExperimentRequest, Finished } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import { centreRate } from '../../src/experiments/search.ts';
import { lossAfter, rowsOf } from '../../src/experiments/second-order.ts';
import type { OptimizerName } from '../../src/settings/methods.ts';
import { removeTemporary, tinyModel, writeRows } from '../train/tiny.ts';

const secondOrder = experiments['second-order']!;
let request: ExperimentRequest;
beforeAll(() => {
  request = { model: tinyModel(), data: { file: 'd' }, seeds: [1, 2, 3] };
});
afterAll(removeTemporary);

/** A run whose steps take 10 ms, HiZOO's 20, and whose loss falls on a straight line to the given one. */
function resultOf({ optimizer }: Cell, loss: number) {
  const steps = optimizer === 'hizoo' ? 200 : 300;
  const curve = [1, 2].map((half) => ({ step: (steps * half) / 2, loss: 1 + ((loss - 1) * half) / 2 }));
  const factorBytes = optimizer === 'hizoo' ? 350 : 100;
  const stepMilliseconds = optimizer === 'hizoo' ? 20 : 10;
  return { curve, steps, stepMilliseconds, plannedBytes: 1000, factorBytes, failed: false };
}

async function finishAll(lossOf: (cell: Cell) => number) {
  const finished: Finished<ReturnType<typeof resultOf>>[] = [];
  for (;;) {
    const cells = await secondOrder.cells(request, finished);
    const next = cells.find((cell) => !finished.some((each) => JSON.stringify(each.cell) === JSON.stringify(cell)));
    if (!next) return finished;
    finished.push({ cell: next, result: resultOf(next, lossOf(next)), seconds: 1 });
  }
}

test('every method has the same search, and SubZero one more rank, which takes what HiZOO keeps', async () => {
  const finished = await finishAll(({ learningRate }) => (learningRate === 5e-5 ? 0.4 : 0.5));
  const of = (optimizer: string, rank: number) =>
    finished
      .filter(({ cell }) => cell.optimizer === optimizer && cell.rank === rank)
      .map(({ cell }) => [cell.seed, cell.learningRate]);
  for (const optimizer of ['subzero', 'mezo', 'hizoo']) {
    const own = of(optimizer, 8);
    expect(own.filter(([seed]) => seed === 1)).toHaveLength(3);
    expect(own.filter(([seed]) => seed !== 1)).toHaveLength(2);
  }
  // 350 / 100 is three times the rank and a rest.
  expect(of('subzero', 24).map(([seed]) => seed)).toEqual([1, 2, 3]);
});

test('a curvature that no rank takes as much as leaves the highest', async () => {
  const cellOf = (optimizer: string): Cell => ({ optimizer, rank: 8, learningRate: 5e-5, seed: 1 });
  const own = { ...request, seeds: [1], learningRates: [5e-5] };
  const finished = ['subzero', 'mezo', 'hizoo'].map((optimizer) => {
    const factorBytes = optimizer === 'hizoo' ? 100_000 : 100;
    return { cell: cellOf(optimizer), result: { ...resultOf({ optimizer }, 0.4), factorBytes }, seconds: 1 };
  });
  expect((await secondOrder.cells(own, finished)).at(-1)).toMatchObject({ optimizer: 'subzero', rank: 256 });
});

test('evaluated rows are read by the same columns as those of training', async () => {
  const file = writeRows(`${JSON.stringify({ said: 'a film', label: 1 })}\n`);
  const reading = { template: '{said} is', labels: ['0=bad', '1=good'] };
  expect(JSON.parse(await rowsOf({ ...request, data: { file }, reading }))).toEqual({ said: 'a film', label: 1 });
  const task = { template: '{said} is', labels: { 0: 'bad', 1: 'good' } };
  const described = { task, directory: file } as ExperimentRequest['data'];
  expect(JSON.parse(await rowsOf({ ...request, data: described }))).toMatchObject({ prompt: 'a film is', label: 1 });
});

test('at the same time a slower method stands where it was', () => {
  const result = resultOf({ optimizer: 'hizoo' }, 0.4);
  // 200 steps of 20 ms; after 3 s these are 150, between 0.7 at 100 and 0.4 at 200.
  expect(lossAfter(result, 3000)).toBeCloseTo(0.55);
  expect(lossAfter(result, 9000)).toBe(0.4);
  expect(lossAfter(result, 10)).toBe(0.7);
  expect(lossAfter({ ...result, failed: true }, 3000)).toBeNaN();
});

test('the first line says what curvature brings with the same passes and in the same time', async () => {
  const seeds = ({ seed }: Cell) => 0.001 * Number(seed);
  /** What another rate than the middle one costs. */
  const rate = ({ optimizer, learningRate }: Cell) =>
    learningRate === centreRate(optimizer as OptimizerName, 'full', true) ? 0 : 0.1;
  const worse = await secondOrder.report(
    request,
    await finishAll((cell) => (cell.optimizer === 'hizoo' ? 0.5 + 2 * seeds(cell) + rate(cell) : 0.4 + seeds(cell))),
  );
  // 0.101, 0.102, 0.103. In the 3 s of MeZO's 300 steps HiZOO makes 150 of its 200 and is at 0.25 + 0.75 of its last
  // loss: 0.2255, 0.2260, 0.2265 above MeZO.
  expect(worse.lead).toMatch(/^Contradicts HiZOO’s paper/);
  expect(worse.lead).toContain(
    'against mezo is higher by 0.1020 ± 0.0025 with the same passes and is higher by 0.2260 ± 0.0012',
  );
  // All rates alike: the first is chosen, beyond which nothing was tried.
  const atEnd = await secondOrder.report(
    request,
    await finishAll((cell) => (cell.optimizer === 'hizoo' ? 0.5 + 2 * seeds(cell) : 0.4 + seeds(cell))),
  );
  expect(atEnd.lead).toMatch(/^HiZOO’s loss against .*The best rate is at an end .*hizoo \(/);
  expect(worse.lead).not.toContain('hizoo (');
  const better = await secondOrder.report(
    request,
    await finishAll((cell) => (cell.optimizer === 'hizoo' ? 0.2 + 2 * seeds(cell) : 0.4 + seeds(cell))),
  );
  expect(better.lead).toMatch(/^HiZOO’s loss against/);
  expect(better.lead).toContain('against mezo is lower by 0.1980 ± 0.0025 with the same passes');
  const table = better.sections[0]!.table!;
  expect(table.rows.map(([name]) => name)).toEqual(['subzero, r 8', 'mezo', 'hizoo', 'subzero, r 24']);
});
