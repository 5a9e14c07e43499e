/**
 * Magnitude percentiles of weights, exact and made where the weights are.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { magnitudeBins, magnitudeHistogram } from '../ops/magnitude-histogram.ts';
import { shapeOf, type Weight } from '../tensor/weight.ts';

/** The largest finite f32. */
const largestSingle = (2 - 2 ** -23) * 2 ** 127;

/** How many of `count` magnitudes train at a sparsity: the smallest, at least one. */
function trainingCount(count: number, sparsity: number): number {
  return Math.max(1, Math.round(count * (1 - sparsity)));
}

/** The largest magnitude that trains: `trainingCount` of the values, up to ties, are at most as large. */
export function vectorThreshold(values: Float32Array, sparsity: number): number {
  const magnitudes = values.map(Math.abs).sort();
  return magnitudes[trainingCount(values.length, sparsity) - 1] ?? 0;
}

/**
 * The same of a tensor that a scheme adds. One that starts at zero, as LoRA's B does, has no large values to leave
 * alone: all of it trains; the usual threshold of 0 would let no element take a second step.
 */
export function adapterThreshold(values: Float32Array, sparsity: number): number {
  return vectorThreshold(values, sparsity) || largestSingle;
}

/**
 * The same of stored weights, in their order. Two histograms on the GPU, of the upper and the lower half of the
 * magnitudes' f32 bits, give the exact value without the weights being read back.
 */
export async function weightThresholds(gpu: Gpu, weights: readonly Weight[], sparsity: number): Promise<number[]> {
  const counts = gpu.allocate(magnitudeBins * 4, 'scratch', 'magnitude histogram');
  try {
    const thresholds: number[] = [];
    for (const weight of weights) {
      const [rows, columns] = shapeOf(weight);
      const rank = trainingCount(rows * columns, sparsity);
      const upper = find(await magnitudeHistogram(gpu, weight, counts), rank);
      const lower = find(await magnitudeHistogram(gpu, weight, counts, upper.bin), rank - upper.below);
      thresholds.push(new Float32Array(new Uint32Array([(upper.bin << 16) | lower.bin]).buffer)[0]!);
    }
    return thresholds;
  } finally {
    counts.destroy();
  }
}

/** The bin that the element of a rank (from 1) is in, and how many elements lie in the bins below. */
function find(counts: Uint32Array, rank: number): { bin: number; below: number } {
  let below = 0;
  for (const [bin, count] of counts.entries()) {
    if (below + count >= rank) return { bin, below };
    below += count;
  }
  throw new Error(`the histogram has ${below} elements; rank ${rank} was asked for`);
}
