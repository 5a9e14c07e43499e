import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine } from '../../src/engine/types.ts';
import type { Cell, Laboratory } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import { atStages, modelAt } from '../../src/experiments/stages.ts';
import { optionRows, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

let engine: Engine;
let laboratory: Laboratory;

beforeAll(async () => {
  engine = await openEngine();
  const request = { model: tinyModel(), data: { file: writeRows(optionRows()) }, seeds: [3], stages: [0, 1, 2] };
  laboratory = {
    engine,
    request,
    folder: '',
    kept: join(temporaryFolder(), 'kept'),
    signal: new AbortController().signal,
  };
});

afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const at = (cell: Cell) => modelAt({ ...laboratory, folder: temporaryFolder() }, cell);
const weights = (folder: string): Buffer => readFileSync(join(folder, 'model.safetensors'));

test('cells are repeated at each stage, and stay as they are without', () => {
  expect(atStages([{ seed: 1 }], undefined)).toEqual([{ seed: 1 }]);
  expect(atStages([{ seed: 1 }, { seed: 2 }], [0, 50])).toEqual([
    { seed: 1, stage: 0 },
    { seed: 2, stage: 0 },
    { seed: 1, stage: 50 },
    { seed: 2, stage: 50 },
  ]);
});

test('one run of a seed gives the models of all stages, and is made once', async () => {
  expect(await at({ seed: 3 })).toBe(laboratory.request.model);
  expect(await at({ seed: 3, stage: 0 })).toBe(laboratory.request.model);
  const [first, second] = [await at({ seed: 3, stage: 1 }), await at({ seed: 3, stage: 2 })];
  expect(weights(first).equals(weights(second))).toBe(false);
  expect(readdirSync(laboratory.kept).sort()).toEqual(['seed-3', 'seed-3-step-1', 'seed-3-step-2']);
  // A model that is there is taken as it is.
  writeFileSync(join(first, 'model.safetensors'), 'kept');
  expect(weights(await at({ seed: 3, stage: 1 })).toString()).toBe('kept');
});

test('estimates at a stage: of MeZO the gradient, of SubZero what its subspace shows', async () => {
  const variance = experiments.variance!;
  const request = { ...laboratory.request, steps: 16, ranks: [4], stages: [0] };
  const cells = await variance.cells(request, []);
  expect(new Set(cells.map(({ optimizer }) => optimizer))).toEqual(
    new Set(['mezo', 'subzero', 'subzero-plus', 'sparse-mezo', 'hizoo']),
  );
  const finished = [];
  for (const cell of cells.slice(0, 3)) {
    const folder = temporaryFolder();
    const result = (await variance.measure({ ...laboratory, request, folder }, cell)) as Record<string, number>;
    expect(result.directions).toBe(16);
    for (const value of Object.values(result)) expect(value).toBeGreaterThan(0);
    finished.push({ cell, result, seconds: 1 });
  }
  const { lead, sections } = await variance.report(request, finished);
  expect(lead).toContain('One seed has no intervals');
  expect(lead).not.toContain('Contradicts');
  expect(sections[0]!.table!.rows.map(([name]) => name)).toEqual(['subzero, r 4', 'subzero-plus, r 4']);
});

test('a model of another kind is not scaled', async () => {
  mkdirSync(laboratory.kept, { recursive: true });
  const request = { ...laboratory.request, model: tinyModel('gpt2-tiny') };
  const cell = { seed: 0, axis: 'layers', factor: 1 };
  await expect(experiments.scale!.measure({ ...laboratory, request, folder: temporaryFolder() }, cell)).rejects.toThrow(
    /has no number "num_hidden_layers".* take a model of the Llama family/,
  );
});
