import { afterAll, beforeAll, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine } from '../../src/engine/types.ts';
import type { Cell, ExperimentRequest, Finished } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import { variationOf, viewsOf } from '../../src/experiments/reshape.ts';
import type { TrainedCell } from '../../src/experiments/train-cell.ts';
import { readConfigurationFile } from '../../src/model/load.ts';
import { withSeed } from '../support/random.ts';
import { optionRows, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

const reshape = experiments.reshape!;
let engine: Engine;
let request: ExperimentRequest;
beforeAll(async () => {
  engine = await openEngine();
  request = { model: tinyModel(), data: { file: writeRows(optionRows()) }, seeds: [1, 2, 3], steps: 2 };
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const trained = (accuracy: number | null, loss = 1): TrainedCell => ({
  ...{ accuracy, loss, steps: 2, passes: 4, trainSeconds: 1, failed: false },
});

test('every run has a partner that differs in the view alone', async () => {
  const cells = await reshape.cells(request, []);
  const [square, own] = [true, false].map((view) =>
    cells.filter((cell) => cell.square === view).map(({ square: _, ...others }) => JSON.stringify(others)),
  );
  expect(square).toEqual(own);
  expect(new Set(square).size).toBe(square!.length);
  await expect(async () => reshape.cells({ ...request, schemes: ['full'] }, [])).rejects.toThrow(
    /"full" is none of lora/,
  );
});

test('views by hand', async () => {
  const decoder = await readConfigurationFile(request.model);
  const width = 16;
  const views = (cell: Cell) => viewsOf(decoder, { rank: 8, ...cell }).map(({ rows, columns }) => [rows, columns]);
  const [[tokens, embedding]] = views({ scheme: 'prompt', size: 5, square: false }) as [[number, number]];
  expect([tokens, embedding! % width]).toEqual([5, 0]);
  const [[a, b]] = views({ scheme: 'prompt', size: 5, square: true }) as [[number, number]];
  expect(a! * b!).toBe(5 * embedding!);
  expect(b! / a!).toBeLessThan(embedding! / 5);
  expect(views({ scheme: 'lora', size: 2, square: false })).toContainEqual([2, embedding]);
});

test('the report pairs the views by seed and says how many differences stand', async () => {
  const cells = (await reshape.cells({ ...request, schemes: ['lora'] }, [])) as Cell[];
  const finished: Finished<TrainedCell>[] = cells.map((cell) => {
    // The square view is better for rank 2 alone; seeds move both alike.
    const gain = cell.size === 2 && cell.square ? 0.1 + 0.001 * Number(cell.seed) : 0;
    // The loss has the views part the other way, for rank 8.
    const loss = cell.size === 8 && cell.square ? 1.2 : 1;
    return { cell, result: trained(0.5 + 0.05 * Number(cell.seed) + gain, loss), seconds: 1 };
  });
  const { lead, sections } = await reshape.report({ ...request, schemes: ['lora'] }, finished);
  expect(lead).toBe(
    'After 2 steps, in 2 cases, the most-square view has a better accuracy in 1 (lora 2 by 0.1020 ± 0.0025) ' +
      'and a worse one in none, and a better loss in none and a worse one in 1 (lora 8 by 0.2000 ± 0.0000), ' +
      'beyond 95 % intervals, of which chance alone has one in twenty show a difference.',
  );
  const { rows } = sections[0]!.table!;
  // 0.101, 0.102, 0.103: 0.102 with 4.303 · 0.001/√3.
  expect(rows[0]!.slice(-2)).toEqual(['0.1020 ± 0.0025', '0.0000 ± 0.0000']);
  expect(rows[1]!.slice(-2)).toEqual(['0.0000 ± 0.0000', '0.2000 ± 0.0000']);
  // Data without options have a loss alone, the better the lower.
  const plain = finished.map((each) => ({ ...each, result: { ...each.result, accuracy: null } }));
  expect((await reshape.report({ ...request, schemes: ['lora'] }, plain)).lead).toBe(
    'After 2 steps, in 2 cases, the most-square view has a better loss in none and a worse one in 1 ' +
      '(lora 8 by 0.2000 ± 0.0000), beyond 95 % intervals, of which chance alone has one in twenty show a difference.',
  );
});

test('runs with different learning rates are different cases', async () => {
  const own: ExperimentRequest = { ...request, schemes: ['lora'], learningRates: [1e-3, 1e-2] };
  const finished = ((await reshape.cells(own, [])) as Cell[]).map((cell) => ({ cell, result: trained(1), seconds: 1 }));
  const { sections } = await reshape.report(own, finished);
  const names = sections[0]!.table!.rows.map(([name]) => name);
  expect(names).toEqual(['lora 2, η 0.001', 'lora 8, η 0.001', 'lora 2, η 0.01', 'lora 8, η 0.01']);
});

test('what subspaces catch varies as much as it does, whatever the noise of the directions', () => {
  return withSeed('variation', (random) => {
    const directions = 16;
    // Half of the subspaces catch 0.5, half 1.5: a squared variation of 1/4.
    const squares = Array.from({ length: 10_000 }, (_, period) => {
      const size = period % 2 === 0 ? 0.5 : 1.5;
      return random.normals(directions).reduce((sum, value) => sum + size * value ** 2, 0) / directions;
    });
    // A standard error is about 0.007.
    expect(Math.abs(variationOf(squares, directions) - 0.25)).toBeLessThan(0.04);
  });
});

test('a run is measured in either view, and what subspaces catch without moving', async () => {
  const measure = (cell: Cell) =>
    reshape.measure(
      { engine, request, folder: temporaryFolder(), kept: temporaryFolder(), signal: new AbortController().signal },
      cell,
    );
  const own = { scheme: 'lora', size: 2, rank: 4, learningRate: 1e-1, seed: 1 };
  const [square, thin] = [
    await measure({ ...own, square: true }),
    await measure({ ...own, square: false }),
  ] as TrainedCell[];
  expect(square!.steps).toBe(2);
  expect(square!.loss).not.toBe(thin!.loss);
  const caught = (await measure({ caught: true, size: 5, rank: 4, square: true, seed: 1 })) as { squares: number[] };
  // No more than --steps.
  expect(caught.squares).toHaveLength(2);
  expect(Math.min(...caught.squares)).toBeGreaterThan(0);
  expect(new Set(caught.squares).size).toBe(2);
});
