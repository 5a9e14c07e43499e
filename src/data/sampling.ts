/**
 * Which examples a training step sees.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { keyOfSeed, multiplyHigh, philox4x32, purposes } from '../zo/philox.ts';

/**
 * The examples of one step, drawn uniformly with replacement. A pure function of its arguments: a resumed or replayed
 * run sees the same rows without any stored state.
 *
 * Row `i` uses word `i & 3` of the Philox block (i >> 2, 0, step, 3 << 24) and is floor(word · datasetSize / 2^32).
 *
 * @returns `batchSize` indices below `datasetSize`
 */
export function sampleBatch(seed: number, step: number, batchSize: number, datasetSize: number): number[] {
  if (!Number.isInteger(datasetSize) || datasetSize < 1 || datasetSize > 0xffff_ffff) {
    throw new SubzeroError(
      'invalid_data',
      `a data set must hold from 1 to 4294967295 examples to draw a batch from; this one holds ${datasetSize}`,
    );
  }
  const key = keyOfSeed(seed);
  const batch: number[] = [];
  for (let block = 0; batch.length < batchSize; block++) {
    for (const word of philox4x32([block, 0, step >>> 0, purposes.batch << 24], key)) {
      if (batch.length < batchSize) batch.push(multiplyHigh(word, datasetSize));
    }
  }
  return batch;
}

/**
 * A seeded order of `size` things (Fisher–Yates), to cut a subset or a hold-out from a data set in a way that can be
 * repeated. Independent of the batches of the same seed: those have 0 in the counter's second word, this has 1.
 */
export function samplePermutation(seed: number, size: number): number[] {
  const key = keyOfSeed(seed);
  const order = Array.from({ length: size }, (_, index) => index);
  for (let last = size - 1; last > 0; last--) {
    const word = philox4x32([last >>> 2, 1, 0, purposes.batch << 24], key)[last & 3]!;
    const chosen = multiplyHigh(word, last + 1);
    [order[last], order[chosen]] = [order[chosen]!, order[last]!];
  }
  return order;
}
