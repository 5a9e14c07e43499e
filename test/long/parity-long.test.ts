/**
 * Hundreds of tokens against a float64 forward (test/parity/make_long.py): YaRN far beyond its original context, and a
 * window that most keys lie outside of, in one pass and token by token from the cache.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { Parity, ParityCase } from '../parity/checkpoint.ts';
import { compareLong, tolerance } from '../parity/compare.ts';

const { cases } = JSON.parse(
  await readFile(new URL('../fixtures/golden/parity-long.json', import.meta.url), 'utf8'),
) as Parity;
/** Tokens of the sequence that is scored, and of the prompt that is continued. */
const lengths = { scored: 600, continued: 560 };

let gpu: Gpu;
let engine: LocalEngine;
let folder: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  folder = await mkdtemp(join(tmpdir(), 'subzero-parity-'));
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true });
});

const compare = (parity: ParityCase, name: string) => compareLong(gpu, engine, join(folder, name), parity, lengths);

test.each(cases.map((parity) => [parity.name, parity] as const))('%s', async (name, parity) => {
  const { difference, ids } = await compare(parity, name);
  expect(difference).toBeLessThanOrEqual(tolerance);
  expect(parity.smallest_gap).toBeGreaterThan(1e-3);
  expect(ids).toEqual(parity.greedy);
});

// One key more, and another rule of the frequencies, are seen at this length too.
test.each([
  ['mistral, long', { sliding_window: 101 }],
  ['yarn, long', { rope_scaling: { type: 'yarn', factor: 8, original_max_position_embeddings: 128, beta_slow: 4 } }],
])('%s: another %o is seen', async (name, change) => {
  const parity = cases.find((each) => each.name === name)!;
  const { difference } = await compare({ ...parity, config: { ...parity.config, ...change } }, `other ${name}`);
  expect(difference).toBeGreaterThan(1e-3);
});
