/**
 * The most likely tokens of rows of logits, found on the GPU.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { spread } from '../gpu/recorder.ts';

/** So many are found at least. */
export const topKept = 64;

/** So many are listed at most. */
const topCapacity = 256;

/** Below this many logits a row is as fast read as searched; the kernel needs one for each of its lanes. */
export const leastVocabulary = 1024;

/** u32 of one row's result; see kernels/top-logits.wgsl. */
const resultWords = 4 + 2 * topCapacity;

/** Bytes of one row's result. */
export const topLogitsBytes = resultWords * 4;

export const topLogitsKernel: KernelDefinition = {
  files: ['top-logits.wgsl'],
  constants: { KEPT: topKept, CAPACITY: topCapacity },
};

/** The top of one row. */
export interface TopLogits {
  /** All tokens whose logit is at least that of the last one, best first, of equals the one with the lower number. */
  ids: number[];
  /** Their logits. */
  logits: number[];
  /** Σ exp(logit − highest) over the row, and the same at its temperature; in f32. */
  total: number;
  temperedTotal: number;
}

/**
 * Records the search.
 *
 * @param logits [rows, columns], at least {@link leastVocabulary} columns
 * @param inverseTemperatures f32 per row, for `temperedTotal`
 * @param results {@link topLogitsBytes} per row, for {@link readTopLogits}
 */
export function topLogits(
  gpu: Gpu,
  logits: GpuBuffer,
  { rows, columns }: { rows: number; columns: number },
  inverseTemperatures: GpuBuffer,
  results: GpuBuffer,
): void {
  gpu.recorder.dispatch(
    gpu.kernel(topLogitsKernel),
    [logits, inverseTemperatures, results],
    { rows, columns },
    spread(rows),
    rows * columns,
  );
}

/** The result of one row, or undefined where too many logits are equal or some are no numbers: then all of them must be looked at. */
export function readTopLogits(data: ArrayBuffer, row: number): TopLogits | undefined {
  const words = new Uint32Array(data, row * topLogitsBytes, resultWords);
  const floats = new Float32Array(data, row * topLogitsBytes, resultWords);
  const count = words[0]!;
  if (count > topCapacity) return undefined;
  const order = Array.from({ length: count }, (_, index) => 4 + 2 * index).sort(
    (a, b) => floats[b + 1]! - floats[a + 1]! || words[a]! - words[b]!,
  );
  return {
    ids: order.map((place) => words[place]!),
    logits: order.map((place) => floats[place + 1]!),
    total: floats[2]!,
    temperedTotal: floats[3]!,
  };
}
