/**
 * What steps have made of a run, apart from its journal: enough for another copy of the run to go on from there
 * without a replay.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Weight } from '../tensor/weight.ts';

/** A buffer that steps write. */
export interface CarriedBuffer {
  /** The same in every copy of a run. */
  name: string;
  buffer: GpuBuffer;
}

/** All that steps write; taken after `beginStep` of a step and before its update. */
export interface CarriedState {
  /** What is kept outside of buffers, in f64. */
  numbers: readonly number[];
  /** The state first of all. */
  buffers: readonly CarriedBuffer[];
}

/** The bytes of a carried state. */
export interface CarriedBytes {
  numbers: readonly number[];
  buffers: readonly { name: string; bytes: Uint8Array }[];
}

/** The buffers of some weights. */
export function carriedWeights(kind: string, weights: Iterable<Weight>): CarriedBuffer[] {
  return [...weights].flatMap(({ name, parts }) =>
    parts.map(({ buffer, rowStart }) => ({ name: `${kind} ${name} ${rowStart}`, buffer })),
  );
}

/** Bytes that {@link readCarried} would take. */
export function carriedSize({ buffers }: CarriedState): number {
  return buffers.reduce((sum, { buffer }) => sum + buffer.size, 0);
}

/** Reads all of it, one buffer after the other, so that little memory is needed beside the result. */
export async function readCarried(gpu: Gpu, { numbers, buffers }: CarriedState): Promise<CarriedBytes> {
  const read: { name: string; bytes: Uint8Array }[] = [];
  for (const { name, buffer } of buffers) {
    const [bytes] = await gpu.recorder.read([{ buffer, bytes: buffer.size }]);
    read.push({ name, bytes: new Uint8Array(bytes!) });
  }
  return { numbers: [...numbers], buffers: read };
}

/** Whether the bytes of another copy are those of this one's buffers: names, order and sizes. */
export function fitsCarried(state: CarriedState, bytes: CarriedBytes): boolean {
  return (
    state.numbers.length === bytes.numbers.length &&
    state.buffers.length === bytes.buffers.length &&
    state.buffers.every(({ name, buffer }, index) => {
      const other = bytes.buffers[index]!;
      return other.name === name && other.bytes.length === buffer.size;
    })
  );
}

/** Uploads the buffers; work that was recorded before must have been submitted. */
export function writeCarried(state: CarriedState, bytes: CarriedBytes): void {
  if (!fitsCarried(state, bytes)) throw new Error('the bytes of another run');
  for (const [index, { buffer }] of state.buffers.entries()) buffer.write(bytes.buffers[index]!.bytes);
}
