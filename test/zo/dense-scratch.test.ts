import { expect, test } from 'vitest';
import { allocateWeight, destroyWeight } from '../../src/tensor/weight.ts';
import { DenseScratch } from '../../src/zo/dense-scratch.ts';
import { openTestGpu } from '../support/gpu.ts';

const gpu = openTestGpu();
const limited = openTestGpu({ maxStorageBufferBindingSize: 8192 });

/** Sizes of the space for two matrices at the start and after each request. */
function sizes(on: typeof gpu, lean: boolean, requests: readonly number[]): number[] {
  const weights = [allocateWeight(on(), 'tall', 1000, 64, 'f16'), allocateWeight(on(), 'wide', 20, 128, 'f16')];
  const before = on().memory.report().byCategory.scratch ?? 0;
  const scratch = new DenseScratch(on(), weights, lean);
  const seen = [scratch.buffer.size];
  for (const bytes of requests) {
    scratch.reserve(bytes);
    seen.push(scratch.buffer.size);
    expect(on().memory.report().byCategory.scratch).toBe(before + scratch.buffer.size);
  }
  scratch.destroy();
  for (const weight of weights) destroyWeight(weight);
  return seen;
}

test('is as large as is of use, or begins with 64 rows and takes what it is given', () => {
  const most = 1000 * 64 * 4 * 2;
  const least = 64 * 128 * 4 * 2;
  expect(sizes(gpu, false, [0, 1e9])).toEqual([most, least, most]);
  expect(sizes(gpu, true, [100_000, 1e9, 0])).toEqual([least, 100_000, most, least]);
});

test('stays within one storage binding', () => {
  expect(sizes(limited, false, [0, 1e9])).toEqual([8192, 8192, 8192]);
});

test('takes a few bytes where no matrix trains', () => {
  const scratch = new DenseScratch(gpu(), [], false);
  scratch.reserve(1e9);
  expect(scratch.buffer.size).toBe(16);
  scratch.destroy();
});
