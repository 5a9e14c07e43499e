/**
 * What sampling needs of rows of logits, found on the GPU: the most likely tokens, and the part of the vocabulary that
 * a draw falls into.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { spread } from '../gpu/workgroups.ts';

/** The least number of most likely tokens that a row's result lists. */
export const topKept = 64;

/** The largest number of tokens that a row's result lists. */
const topCapacity = 256;

/**
 * A draw from the whole vocabulary first takes a class of tokens, those whose numbers are equal modulo this; they are
 * the lanes of the kernel.
 */
export const drawClasses = 256;

/** Below this many logits a row is as fast read as searched; the kernel needs one for each of its lanes. */
export const leastVocabulary = 1024;

/** Words of one row's result; see kernels/top-logits.wgsl. */
const headerWords = 7;
const classStart = headerWords + 2 * topCapacity;
const resultWords = (columns: number): number => classStart + Math.ceil(columns / drawClasses);

/** Stands for the number of listed tokens where some logits are no numbers. */
const damaged = 0xffff_ffff;

/** Bytes of the result of one row of `columns` logits. */
export function topLogitsBytes(columns: number): number {
  return resultWords(columns) * 4;
}

export const topLogitsKernel: KernelDefinition = {
  files: ['top-logits.wgsl'],
  constants: { KEPT: topKept, CAPACITY: topCapacity, LANES: drawClasses },
};

/** What is known of one row. */
export interface TopLogits {
  /**
   * All tokens whose logit is at least that of the last one, best first, of equals the one with the lower number; none
   * where too many are equal.
   */
  ids: number[];
  /** Their logits. */
  logits: number[];
  /** The highest logit. */
  highest: number;
  /** Σ exp(logit − highest) over the row, and the same at its temperature; in f32. */
  total: number;
  temperedTotal: number;
  /** The class that the row's uniform number falls into, as far as f32 can tell. */
  drawn: {
    /** Number of its first token, the others follow in steps of {@link drawClasses}. */
    first: number;
    /** The part of `temperedTotal` in the classes before it, and up to its end. */
    before: number;
    end: number;
    /** The logits of its tokens. */
    logits: Float32Array;
  };
}

/**
 * Records the search.
 *
 * @param logits [rows, columns], at least {@link leastVocabulary} columns
 * @param draws f32 (1 / temperature, uniform number in [0, 1)) per row, for `temperedTotal` and `drawn`
 * @param results {@link topLogitsBytes} per row, for {@link readTopLogits}
 */
export function topLogits(
  gpu: Gpu,
  logits: GpuBuffer,
  { rows, columns }: { rows: number; columns: number },
  draws: GpuBuffer,
  results: GpuBuffer,
): void {
  gpu.recorder.dispatch(
    gpu.kernel(topLogitsKernel),
    [logits, draws, results],
    { rows, columns },
    spread(rows),
    rows * columns,
  );
}

/**
 * The result of one row of so many logits, or undefined where some are no numbers: then all of them must be looked at.
 * @param most of the most likely tokens that are wanted; few are found faster than all are sorted
 */
export function readTopLogits(
  data: ArrayBuffer,
  row: number,
  columns: number,
  most = topCapacity,
): TopLogits | undefined {
  const words = new Uint32Array(data, row * topLogitsBytes(columns), resultWords(columns));
  const floats = new Float32Array(data, words.byteOffset, words.length);
  const count = words[0]!;
  if (count === damaged) return undefined;
  const listed = count > topCapacity ? 0 : count;
  const compare = (a: number, b: number): number => floats[b + 1]! - floats[a + 1]! || words[a]! - words[b]!;
  const order = firstOf(listed, (index) => headerWords + 2 * index, compare, most);
  const first = words[4]!;
  const size = Math.ceil((columns - first) / drawClasses);
  return {
    ids: order.map((place) => words[place]!),
    logits: order.map((place) => floats[place + 1]!),
    highest: floats[1]!,
    total: floats[2]!,
    temperedTotal: floats[3]!,
    drawn: { first, before: floats[5]!, end: floats[6]!, logits: floats.subarray(classStart, classStart + size) },
  };
}

/** The first `most` of `count` items in the order of a comparison. */
function firstOf(
  count: number,
  item: (index: number) => number,
  compare: (a: number, b: number) => number,
  most: number,
): number[] {
  if (most >= count) return Array.from({ length: count }, (_, index) => item(index)).sort(compare);
  const kept: number[] = [];
  for (let index = 0; index < count; index++) {
    const next = item(index);
    if (kept.length === most && (most === 0 || compare(next, kept.at(-1)!) >= 0)) continue;
    let place = kept.length;
    while (place > 0 && compare(next, kept[place - 1]!) < 0) place--;
    kept.splice(place, 0, next);
    if (kept.length > most) kept.pop();
  }
  return kept;
}
