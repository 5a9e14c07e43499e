/**
 * Which examples a training step sees.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { keyOfSeed, multiplyHigh, philox4x32, purposes } from '../random/philox.ts';

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
  return Array.from(permutation(seed, size, 1, 0));
}

function permutation(seed: number, size: number, stream: number, epoch: number): Uint32Array {
  const key = keyOfSeed(seed);
  // Four bytes for each of what may be many millions.
  const order = new Uint32Array(size).map((_, index) => index);
  for (let last = size - 1; last > 0; last--) {
    const word = philox4x32([last >>> 2, stream, epoch, purposes.batch << 24], key)[last & 3]!;
    const chosen = multiplyHigh(word, last + 1);
    [order[last], order[chosen]] = [order[chosen]!, order[last]!];
  }
  return order;
}

/** How the examples of a step are chosen. */
export type Sampling = 'with-replacement' | 'shuffle';

/**
 * The batches of a run. With `shuffle` each epoch is a seeded order of all examples (2 in the counter's second word,
 * the epoch in its third) and the batches are cut from these orders, one after the other; the last batch of an epoch
 * goes on into the next.
 */
export class BatchSampler {
  readonly #seed: number;
  readonly #batchSize: number;
  readonly #size: number;
  readonly #sampling: Sampling;
  /** The order of the epoch looked at last. */
  #epoch = -1;
  #order: Uint32Array = new Uint32Array(0);

  /** @param options.size examples of the data set */
  constructor({
    seed,
    batchSize,
    size,
    sampling,
  }: { seed: number; batchSize: number; size: number; sampling: Sampling }) {
    this.#seed = seed;
    this.#batchSize = batchSize;
    this.#size = size;
    this.#sampling = sampling;
  }

  /** The indices of a step's examples, a pure function of the step. @param step zero-based */
  batch(step: number): number[] {
    if (this.#sampling === 'with-replacement') return sampleBatch(this.#seed, step, this.#batchSize, this.#size);
    const first = step * this.#batchSize;
    return Array.from({ length: this.#batchSize }, (_, index) => this.#at(first + index));
  }

  /** The example at a place in the sequence of all epochs. */
  #at(position: number): number {
    const epoch = Math.floor(position / this.#size);
    if (epoch !== this.#epoch) {
      this.#order = permutation(this.#seed, this.#size, 2, epoch);
      this.#epoch = epoch;
    }
    return this.#order[position % this.#size]!;
  }
}
