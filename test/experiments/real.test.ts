import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine } from '../../src/engine/types.ts';
import type { Cell, Experiment, ExperimentRequest } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import { activationBytes } from '../../src/experiments/memory.ts';
import type { TaskCell } from '../../src/experiments/table.ts';
import { optionRows, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

let engine: Engine;
let request: ExperimentRequest;

beforeAll(async () => {
  engine = await openEngine();
  request = { model: tinyModel(), data: { file: writeRows(optionRows()) }, seeds: [3] };
});

afterAll(async () => {
  await engine.close();
  removeTemporary();
});

function measure<R>(name: string, cell: Cell, own = request): Promise<R> {
  const experiment = experiments[name] as Experiment<R>;
  return experiment.measure(
    { engine, request: own, folder: temporaryFolder(), kept: temporaryFolder(), signal: new AbortController().signal },
    cell,
  );
}

test('rank-spectrum: directions outside of the fit are foretold, so the matrix is the projected gradient', async () => {
  const cells = await experiments['rank-spectrum']!.cells({ ...request, ranks: [4] }, []);
  expect(cells.length).toBeGreaterThan(2);
  const result = await measure<{ singularValues: number[]; explained: number }>('rank-spectrum', cells[0]!);
  expect(result.singularValues).toHaveLength(4);
  expect(result.singularValues[0]).toBeGreaterThan(0);
  expect(result.explained).toBeGreaterThan(0.98);
});

test('variance: HiZOO begins with dense directions that are not MeZO’s, SubZero+ has one mean of all', async () => {
  const cells = await experiments.variance!.cells({ ...request, ranks: [4] }, []);
  const { matrix } = cells[0]!;
  const own = cells.filter((cell) => cell.matrix === matrix);
  expect(own.map(({ optimizer, rank }) => `${String(optimizer)} ${String(rank)}`)).toEqual([
    ...['mezo 0', 'subzero 4', 'subzero-plus 4', 'sparse-mezo 0', 'hizoo 0'],
  ]);
  const results = new Map<unknown, { directions: number; square: number; cosine: number; moment: number }>();
  for (const cell of own) results.set(cell.optimizer, await measure('variance', cell));
  const [mezo, hizoo, plus] = ['mezo', 'hizoo', 'subzero-plus'].map((name) => results.get(name)!);
  // With a curvature that has hardly left 1, ‖ĝ‖² is N ρ² on average; the noise is another.
  const lengthOf = (measured: typeof mezo): number => measured!.moment / measured!.square;
  expect(lengthOf(hizoo) / lengthOf(mezo)).toBeGreaterThan(0.8);
  expect(lengthOf(hizoo) / lengthOf(mezo)).toBeLessThan(1.25);
  expect(Math.abs(hizoo!.square / mezo!.square - 1)).toBeGreaterThan(1e-4);
  // ⟨ĝ, ∇f⟩² ≤ ‖ĝ‖² ‖∇f‖², of one mean of all directions.
  expect(plus!.directions).toBe(64);
  expect(plus!.cosine).toBeCloseTo(plus!.square ** 2 / plus!.moment, 10);
  expect(plus!.cosine).toBeLessThan(2 * mezo!.square);
});

test('table: the first seed is judged by rows held out, of COPA too, whose training rows have no options', async () => {
  const copa = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      ...{ premise: `day ${index}`, choice1: 'It rained', choice2: 'It shone', question: 'effect', label: index % 2 },
    }));
  const directory = temporaryFolder();
  for (const [name, count] of [
    ['train', 10],
    ['val', 4],
  ] as const) {
    writeFileSync(
      join(directory, `${name}.jsonl`),
      copa(count)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(''),
    );
  }
  const own = { ...request, data: { task: 'copa', directory }, seeds: [0, 1], steps: 2, batchSize: 2, limit: 3 };
  const cell = { task: 'copa', scheme: 'full', optimizer: 'mezo', learningRate: 1e-3, steps: 2 };
  const first = await measure<TaskCell>('table', { ...cell, seed: 0 }, own);
  expect(first).toMatchObject({ steps: 2, passes: 4, failed: false });
  expect(first.scores).toHaveLength(3);
  expect(first.validationLoss).toBeGreaterThan(0);
  const second = await measure<TaskCell>('table', { ...cell, seed: 1 }, own);
  expect(second.scores).toHaveLength(3);
  expect(second.validationLoss).toBeNull();
});

test('memory: names are checked before anything is planned, and rows are read as asked', async () => {
  await expect(async () => experiments.memory!.cells({ ...request, optimizers: ['adam'] }, [])).rejects.toThrow(
    /"adam" is none of/,
  );
  const file = writeRows(optionRows().replaceAll('"prompt"', '"said"'));
  const own = { ...request, data: { file }, reading: { columns: ['prompt=said'] } };
  const cell = { optimizer: 'subzero', scheme: 'full', storage: 'auto', seed: 0 };
  expect(await measure<{ liveBytes: number }>('memory', cell, own)).toMatchObject({ liveBytes: expect.any(Number) });
});

test('memory: a model that is not there is refused before anything is planned', async () => {
  const cells = async () => experiments.memory!.cells({ ...request, model: 'no-such-model' }, []);
  await expect(cells).rejects.toMatchObject({ code: 'not_found', message: expect.stringContaining('no-such-model') });
});

test('memory: a run holds what its plan says', async () => {
  const cell = { optimizer: 'subzero', scheme: 'full', storage: 'auto', seed: 0 };
  const { plan, liveBytes } = await measure<{ plan: { totalBytes: number }; liveBytes: number }>('memory', cell);
  expect(liveBytes / plan.totalBytes).toBeGreaterThan(0.5);
  expect(liveBytes / plan.totalBytes).toBeLessThanOrEqual(1);
});

test('memory: the plan of a published shape, by hand', async () => {
  const result = await measure<{
    parameters: number;
    weightBytes: number;
    cacheBytesPerToken: number;
    estimates: { optimizer: string; scheme: string; plan?: { weightBytes: number } }[];
  }>('memory', { shape: 'OPT-125M', storage: 'f16' });
  expect(result.parameters).toBe(125_239_296);
  // Keys and values of 12 layers of 768 columns, in f32.
  expect(result.cacheBytesPerToken).toBe(2 * 12 * 768 * 4);
  const plan = result.estimates.find(({ optimizer, scheme }) => optimizer === 'subzero' && scheme === 'full')!.plan!;
  expect(plan.weightBytes).toBe(result.weightBytes);
});

test('scale: twice the layers have their parameters, and four directions have four times the tokens', async () => {
  const scaled = (axis: string, factor: number) =>
    measure<{ parameters: number; tokens: number }>('scale', { seed: 0, axis, factor });
  const base = await scaled('layers', 1);
  const deeper = await scaled('layers', 2);
  const more = await scaled('directions per step', 4);
  expect(deeper.parameters).toBeGreaterThan(base.parameters);
  expect(more.parameters).toBe(base.parameters);
  expect(more.tokens).toBe(4 * base.tokens);
  const longer = await scaled('text length', 16);
  expect(longer.tokens).toBeGreaterThan(4 * base.tokens);
});

test('scale: what the device has no room for is told, and no fit has it', async () => {
  const scaled = (factor: number, result: object) => ({ cell: { seed: 0, axis: 'width', factor }, result, seconds: 1 });
  const fitting = (factor: number) =>
    scaled(factor, {
      ...{ parameters: 100 * factor ** 2, tokens: 10, stepMilliseconds: 5 * factor ** 2, plannedBytes: factor },
      ...{ journalBytes: 7, replayMilliseconds: 1 },
    });
  const { lead, sections } = await experiments.scale!.report(request, [
    ...[1, 2, 4].map(fitting),
    scaled(8, { tooLarge: 'this run needs at least 9 GiB of GPU memory' }),
  ]);
  expect(lead).toContain('width 1.00');
  expect(sections[0]!.table!.rows).toEqual([
    ['width', 'tokens × parameters', ...['1.00', '1.00', '0.50', '0.00', '0.00']],
  ]);
  expect(sections[1]!.table!.rows.at(-1)!.slice(0, 3)).toEqual(['width', '8', 'does not fit']);
});

test('memory: what back-propagation keeps of OPT-13B, by hand', () => {
  // 16 × 128 × 5120 = 10,485,760 numbers of a width; 34 + 5 · 40 · 128 / 5120 = 39 bytes of each; 40 layers.
  expect(activationBytes('OPT-13B')).toEqual({ all: 16_357_785_600, checkpointed: 838_860_800 + 408_944_640 });
  expect(activationBytes('Llama-3.1-8B')).toBeUndefined();
});

test('reports say in their first line what came out', async () => {
  const scaled = (factor: number) => ({
    cell: { seed: 0, axis: 'layers', factor },
    result: {
      ...{ parameters: 100 * factor, tokens: 10, stepMilliseconds: 5 * factor, plannedBytes: 1, journalBytes: 1 },
      replayMilliseconds: 1,
    },
    seconds: 1,
  });
  const { lead } = await experiments.scale!.report(request, [1, 2, 4].map(scaled));
  expect(lead).toBe(
    "Exponents of a step's time over its work, between the two largest sizes: layers 1.00. " +
      'One seed does not show whether anything grows faster than its work.',
  );
});
