/**
 * Stored values as the checkpoint formats define them, computed bit by bit and independently of the code under test.
 *
 * @module
 */

import type { Storage } from '../weights/index.ts';

/** The number that 16 bits of IEEE binary16 represent. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The number that 16 bits of bfloat16 represent. */
export function fromBrain(bits: number): number {
  word[0] = bits << 16;
  return float[0]!;
}

/** The binary16 bits of a finite value, truncated towards zero. */
function halfBelow(value: number): number {
  const magnitude = Math.min(Math.abs(value), 65504);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (magnitude < 2 ** -14) return sign | Math.floor(magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  return sign | ((exponent + 15) << 10) | Math.min(1023, Math.floor((magnitude / 2 ** exponent - 1) * 1024));
}

/** The bfloat16 bits of a finite value, truncated towards zero. */
function brainBelow(value: number): number {
  float[0] = value;
  return word[0]! >>> 16;
}

/** The two neighbours of a finite value in a 16-bit format, by increasing magnitude; they may be equal. */
export function neighbours(storage: 'f16' | 'bf16', value: number): [number, number] {
  const bits = storage === 'f16' ? halfBelow(value) : brainBelow(value);
  const widen = storage === 'f16' ? fromHalf : fromBrain;
  const below = widen(bits);
  return [below, below === value ? below : widen(bits + 1)];
}

/** A matrix in a storage type: the bits to upload and the exact values that they represent. */
export interface StoredMatrix {
  rows: number;
  columns: number;
  storage: Storage;
  bits: Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
}

/** Stores f32 values by truncating them to the storage type. */
export function store(
  values: Float32Array<ArrayBuffer>,
  rows: number,
  columns: number,
  storage: Storage,
): StoredMatrix {
  if (storage === 'f32') return { rows, columns, storage, bits: values, values };
  const narrow = storage === 'f16' ? halfBelow : brainBelow;
  // A loop is needed: `Uint16Array.from` makes an ordinary array first, which is too large for the heap at a model's
  // size.
  const bits = new Uint16Array(values.length);
  for (let index = 0; index < values.length; index++) bits[index] = narrow(values[index]!);
  return { rows, columns, storage, bits, values: widenAll(bits, storage) };
}

/** The values of stored bits. */
export function widenAll(bits: Uint16Array, storage: 'f16' | 'bf16'): Float32Array<ArrayBuffer> {
  const widen = storage === 'f16' ? fromHalf : fromBrain;
  const values = new Float32Array(bits.length);
  for (let index = 0; index < bits.length; index++) values[index] = widen(bits[index]!);
  return values;
}
