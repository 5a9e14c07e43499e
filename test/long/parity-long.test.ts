/**
 * Hundreds of tokens against a float64 forward (test/parity/make_long.py): YaRN far beyond its original context, and a
 * window that most keys lie outside of, in one pass and token by token from the cache.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ParityFile } from '../parity/checkpoint.ts';
import { compareCase, tolerance } from '../parity/compare.ts';
import { openTestGpu } from '../support/gpu.ts';

const file = JSON.parse(
  await readFile(new URL('../fixtures/golden/parity-long.json', import.meta.url), 'utf8'),
) as ParityFile;

const gpu = openTestGpu();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'subzero-parity-'));
});

afterAll(() => rm(folder, { recursive: true }));

test.each(file.cases.map((parityCase) => ({ name: parityCase.name, parityCase })))('$name', async ({ parityCase }) => {
  const { difference, greedy } = await compareCase(gpu(), parityCase, file, join(folder, parityCase.name));
  expect(difference).toBeLessThanOrEqual(tolerance);
  expect(greedy).toBe('equal');
});

// One key more or fewer, and another rule of the frequencies, are seen at this length too.
test.each([
  ['mistral, long', { sliding_window: 101 }],
  ['yarn, long', { rope_scaling: { type: 'yarn', factor: 8, original_max_position_embeddings: 128, beta_slow: 4 } }],
] as const)('%s: another %o is seen', async (name, change) => {
  const parityCase = file.cases.find((each) => each.name === name)!;
  const changed = { ...parityCase, config: { ...parityCase.config, ...change } };
  const { difference } = await compareCase(gpu(), changed, file, join(folder, `other ${name}`));
  expect(difference).toBeGreaterThan(1e-3);
});
