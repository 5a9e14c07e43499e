/** Weights that one storage binding cannot hold, forced by a tiny limit. */

import { expect, test } from 'vitest';
import { embedCase } from '../../src/bench/cases/embed.ts';
import { linearCase } from '../../src/bench/cases/linear.ts';
import { foldCase } from '../../src/bench/cases/zo.ts';
import { allocateWeight, destroyWeight } from '../../src/tensor/weight.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const limit = 4096;
const gpu = openTestGpu({ maxStorageBufferBindingSize: limit });

test.each([
  ['f32', 4],
  ['f16', 2],
  ['bf16', 2],
] as const)('a %s weight is split into whole rows that fit', (storage, bytes) => {
  const before = gpu().memory.report().liveBytes;
  const weight = allocateWeight(gpu(), 'weight', 101, 100, storage);
  const rowsPerPart = Math.floor(limit / (100 * bytes));
  expect(weight.parts).toHaveLength(Math.ceil(101 / rowsPerPart));
  let next = 0;
  for (const { buffer, rowStart, rowCount } of weight.parts) {
    expect(rowStart).toBe(next);
    expect(buffer.size).toBe(rowCount * 100 * bytes);
    expect(buffer.size).toBeLessThanOrEqual(limit);
    next += rowCount;
  }
  expect(next).toBe(101);
  expect(gpu().memory.report().liveBytes).toBe(before + 101 * 100 * bytes);
  destroyWeight(weight);
  expect(gpu().memory.report().liveBytes).toBe(before);
});

testCases(gpu, [
  linearCase({ rows: 7, columns: 301, inner: 64, storage: 'bf16', rank: 8, bias: true, probes: 2 }),
  linearCase({ rows: 3, columns: 50, inner: 1024 }),
  embedCase({ rows: 40, vocabulary: 333, columns: 128, storage: 'f16', rank: 3, probes: 2 }),
  foldCase({ rows: 120, columns: 68, rank: 8, storage: 'f32' }),
]);
