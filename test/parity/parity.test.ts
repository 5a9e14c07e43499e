/**
 * Models of every kind against transformers (make_checkpoints.py); `npm run parity` makes the expectations anew.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestGpu } from '../support/gpu.ts';
import type { ParityFile } from './checkpoint.ts';
import { agrees, compareCase } from './compare.ts';

const file = JSON.parse(
  await readFile(new URL('../fixtures/golden/parity.json', import.meta.url), 'utf8'),
) as ParityFile;

const gpu = openTestGpu();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'subzero-parity-'));
});

afterAll(() => rm(folder, { recursive: true }));

test('a hundred cases are there', () => {
  expect(file.cases.length).toBeGreaterThanOrEqual(100);
  expect(new Set(file.cases.map(({ name }) => name)).size).toBe(file.cases.length);
});

test.each(file.cases.map((parityCase) => ({ name: parityCase.name, parityCase })))('$name', async ({ parityCase }) => {
  const comparison = await compareCase(gpu(), parityCase, file, join(folder, parityCase.name));
  expect(agrees(comparison), JSON.stringify(comparison)).toBe(true);
});

// The suite must see what it is for: a setting that is read slightly otherwise.
test.each([
  ['theta', { rope_theta: 501 }],
  ['llama, large epsilon', { rms_norm_eps: 0.049 }],
  ['mistral', { sliding_window: 9 }],
  ['mistral, window null', { sliding_window: 64 }],
  ['qwen2, window on', { max_window_layers: 2 }],
  ['llama, gelu', { hidden_act: 'gelu_new' }],
  ['yarn, truncate false', { rope_scaling: { rope_type: 'yarn', factor: 2, original_max_position_embeddings: 64 } }],
  ['opt, no final norm', { _remove_final_layer_norm: false }],
] as const)('%s: another %o is seen', async (name, change) => {
  const parityCase = file.cases.find((each) => each.name === name)!;
  const changed = { ...parityCase, config: { ...parityCase.config, ...change } };
  const layout = file.layouts[parityCase.layout]!;
  const norm = ['weight', 'bias'].map((part) => [`model.decoder.final_layer_norm.${part}`, [32]] as [string, number[]]);
  const layouts = [...file.layouts, name.startsWith('opt') ? [...layout, ...norm] : layout];
  const altered = { ...changed, layout: layouts.length - 1 };
  const comparison = await compareCase(gpu(), altered, { ...file, layouts }, join(folder, `other ${name}`));
  expect(comparison.difference, JSON.stringify(comparison)).toBeGreaterThan(1e-4);
});
