/**
 * What copies of a run are compared by: a short name of what it has trained so far, and a sketch of it, which tells how
 * far two copies that differ are apart.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { createHash } from '../platform/index.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { methods } from '../settings/methods.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';

/** Steps from one comparison to the next at most. */
export const stepsBetweenDigests = 50;

/** Steps after which a method without periods counts as folded. */
const densePeriod = 500;

/** Bytes that are compared of each buffer but the first: what rounds otherwise differs everywhere. */
const sampleBytes = 4096;

/** Sums of a sketch; the estimate of a difference is off by a factor of about two. */
const sketchSums = 6;

/** A difference above this share of the length of what is compared is no rounding. */
export const tolerance = 1e-3;

/** Whether a period begins with a step, so that the one before it is folded. @param step zero-based */
export function isFold(step: number, { optimizer, refresh }: TrainConfiguration): boolean {
  return step > 0 && step % (methods[optimizer].family === 'dense' ? densePeriod : refresh) === 0;
}

/** Whether copies are compared before a step. @param step zero-based */
export function isCompared(step: number, configuration: TrainConfiguration): boolean {
  return step % stepsBetweenDigests === 0 || isFold(step, configuration);
}

export interface Digest {
  name: string;
  /** The length of the state, then its sums under random signs. */
  sketch: number[];
}

/**
 * The digest covers all of the state that every probe starts from (S of factored matrices, tensors of a scheme, 1-D
 * parameters), and the beginning of each weight and moment.
 */
export async function digestOf(
  gpu: Pick<Gpu, 'recorder'>,
  optimizer: Pick<ZerothOrderOptimizer, 'carried'>,
): Promise<Digest> {
  const { buffers } = optimizer.carried();
  const parts = await gpu.recorder.read(
    buffers.map(({ buffer }, index) => ({
      buffer,
      bytes: index === 0 ? buffer.size : Math.min(buffer.size, sampleBytes),
    })),
  );
  return digestOfBytes(parts.map((bytes) => new Uint8Array(bytes)));
}

/**
 * The same of buffers that were read, whole or as far as they are compared. The bytes must begin at a multiple of 4.
 */
export function digestOfBytes(buffers: readonly Uint8Array[]): Digest {
  const hash = createHash('sha256');
  for (const [index, bytes] of buffers.entries()) hash.update(index === 0 ? bytes : bytes.subarray(0, sampleBytes));
  const [state] = buffers as [Uint8Array];
  const values = new Float32Array(state.buffer, state.byteOffset, state.byteLength / 4);
  return { name: hash.digest('hex').slice(0, 32), sketch: sketchOf(values) };
}

/** √Σx², then Σ ±x for several draws of signs. The square of a sum is Σx² on average. */
export function sketchOf(values: Float32Array): number[] {
  const sums = new Float64Array(sketchSums);
  let square = 0;
  for (const [index, value] of values.entries()) {
    if (value === 0) continue;
    square += value * value;
    let bits = signsOf(index);
    for (let k = 0; k < sketchSums; k++, bits >>>= 1) sums[k]! += bits & 1 ? value : -value;
  }
  return [Math.sqrt(square), ...sums];
}

/** Bits by the finaliser of MurmurHash3. */
function signsOf(index: number): number {
  let bits = Math.imul((index ^ (index >>> 16)) + 0x9e37_79b9, 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** About ‖a − b‖ / ‖a‖; nothing where there is nothing to compare, or the sketches are not comparable. */
export function differenceOf(a: readonly number[], b: readonly number[]): number | undefined {
  if (a.length !== b.length || !(a[0]! > 0)) return undefined;
  const squares = a.slice(1).map((sum, k) => (sum - b[k + 1]!) ** 2);
  return Math.sqrt(squares.reduce((total, square) => total + square, 0) / squares.length) / a[0]!;
}
