import { expect, test } from 'vitest';
import { sampleBatch, samplePermutation } from '../../src/data/sampling.ts';
import { philox4x32 } from '../../src/zo/philox.ts';

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
