import { describe, expect, test } from 'vitest';
import { BatchSampler, sampleBatch, samplePermutation } from '../../src/data/sampling.ts';
import { philox4x32 } from '../../src/random/philox.ts';

test('row i is floor(word · size / 2^32) of block i >> 2, exactly', () => {
  for (const size of [1, 7, 1000, 0xfffffffb]) {
    const batch = sampleBatch(2 ** 40 + 3, 17, 6, size);
    const words = [0, 1].flatMap((block) => philox4x32([block, 0, 17, 3 << 24], [3, 256]));
    expect(batch).toEqual(words.slice(0, 6).map((word) => Number((BigInt(word) * BigInt(size)) >> 32n)));
  }
});

test('is stateless, differs by step and seed, and draws uniformly', () => {
  expect(sampleBatch(1, 5, 16, 1000)).toEqual(sampleBatch(1, 5, 16, 1000));
  expect(sampleBatch(1, 5, 16, 1000)).not.toEqual(sampleBatch(1, 6, 16, 1000));
  expect(sampleBatch(1, 5, 16, 1000)).not.toEqual(sampleBatch(2, 5, 16, 1000));
  expect(sampleBatch(1, 5, 4, 1000)).toEqual(sampleBatch(1, 5, 16, 1000).slice(0, 4));

  const counts = new Array<number>(10).fill(0);
  for (let step = 0; step < 1000; step++) for (const row of sampleBatch(0, step, 16, 10)) counts[row]!++;
  const chiSquare = counts.reduce((sum, count) => sum + (count - 1600) ** 2 / 1600, 0);
  expect(chiSquare).toBeLessThan(27.9); // 0.999 quantile with 9 degrees of freedom
});

test('an empty data set is refused', () => {
  expect(() => sampleBatch(0, 0, 16, 0)).toThrow(/holds 0/);
});

test('samplePermutation is a permutation that depends on the seed', () => {
  const order = samplePermutation(3, 100);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index));
  expect(order).toEqual(samplePermutation(3, 100));
  expect(order).not.toEqual(samplePermutation(4, 100));
  expect(samplePermutation(0, 0)).toEqual([]);
});

describe('a sampler', () => {
  const settings = { seed: 7, batchSize: 4, size: 10 } as const;

  test('with replacement draws as ever', () => {
    const sampler = new BatchSampler({ ...settings, sampling: 'with-replacement' });
    expect(sampler.batch(3)).toEqual(sampleBatch(7, 3, 4, 10));
  });

  test('that shuffles shows every example once an epoch, in an order of its own', () => {
    const sampler = new BatchSampler({ ...settings, sampling: 'shuffle' });
    // 15 batches of 4 are 6 epochs of 10.
    const shown = Array.from({ length: 15 }, (_, step) => sampler.batch(step)).flat();
    const epochs = Array.from({ length: 6 }, (_, epoch) => shown.slice(epoch * 10, (epoch + 1) * 10));
    for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(new Set(epochs.map(String)).size).toBe(6);
  });

  test('that shuffles is a function of the step, whatever was asked before', () => {
    const batchOf = (step: number) => new BatchSampler({ ...settings, sampling: 'shuffle' }).batch(step);
    const sampler = new BatchSampler({ ...settings, sampling: 'shuffle' });
    for (const step of [9, 2, 2, 0, 14]) expect(sampler.batch(step)).toEqual(batchOf(step));
    expect(new BatchSampler({ ...settings, seed: 8, sampling: 'shuffle' }).batch(0)).not.toEqual(batchOf(0));
  });

  test('that shuffles takes batches larger than the data', () => {
    const batch = new BatchSampler({ seed: 1, batchSize: 7, size: 3, sampling: 'shuffle' }).batch(0);
    expect([0, 1, 2].map((index) => batch.filter((one) => one === index).length).sort()).toEqual([2, 2, 3]);
  });

  test('the orders of the first places of epochs are spread evenly', () => {
    const counts = new Array<number>(5).fill(0);
    const sampler = new BatchSampler({ seed: 3, batchSize: 5, size: 5, sampling: 'shuffle' });
    for (let epoch = 0; epoch < 2000; epoch++) counts[sampler.batch(epoch)[0]!]!++;
    const chiSquare = counts.reduce((sum, count) => sum + (count - 400) ** 2 / 400, 0);
    expect(chiSquare).toBeLessThan(18.5); // 0.999 quantile with 4 degrees of freedom
  });
});
