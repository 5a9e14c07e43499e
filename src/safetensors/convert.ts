/**
 * Conversions between f32 and the 16-bit types of weight files, over typed arrays of their bits.
 *
 * @see IEEE 754-2019 §3.4 for binary16; bfloat16 is the upper half of a binary32.
 * @module
 */

import { SubzeroError } from '../errors.ts';

/** Element types that convert to and from f32. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

/**
 * Widens bfloat16 bits to f32; exact.
 * @param target receives the values; a new array by default. It must be at least as long as `source`.
 */
export function bf16ToF32(source: Uint16Array, target: Float32Array = new Float32Array(source.length)): Float32Array {
  const bits = bitsOf(target, source.length);
  for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
  return target;
}

/**
 * Rounds f32 to bfloat16 bits: to nearest, ties to even. Values above the range become infinite; NaN stays NaN (quiet).
 * @param target receives the bits; a new array by default. It must be at least as long as `source`.
 */
export function f32ToBf16(source: Float32Array, target: Uint16Array = new Uint16Array(source.length)): Uint16Array {
  checkLength(target, source.length);
  const bits = bitsOf(source, source.length);
  for (let i = 0; i < source.length; i++) {
    const value = bits[i]!;
    // Adding just under one half of the last place, plus its lowest bit, carries exactly when rounding goes up.
    target[i] =
      (value & 0x7fffffff) > 0x7f800000 ? (value >>> 16) | 0x40 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
  return target;
}

/** All 65 536 values of binary16 as f32 bits (256 KiB), made at the first use. */
let f16Values: Uint32Array | undefined;

/**
 * Widens binary16 bits to f32; exact, with subnormals, infinities and NaN payloads.
 * @param target receives the values; a new array by default. It must be at least as long as `source`.
 */
export function f16ToF32(source: Uint16Array, target: Float32Array = new Float32Array(source.length)): Float32Array {
  f16Values ??= makeF16Values();
  const bits = bitsOf(target, source.length);
  for (let i = 0; i < source.length; i++) bits[i] = f16Values[source[i]!]!;
  return target;
}

/**
 * Rounds f32 to binary16 bits: to nearest, ties to even, with subnormals. From 65 520 on values become infinite; NaN
 * stays NaN (quiet).
 * @param target receives the bits; a new array by default. It must be at least as long as `source`.
 */
export function f32ToF16(source: Float32Array, target: Uint16Array = new Uint16Array(source.length)): Uint16Array {
  checkLength(target, source.length);
  const bits = bitsOf(source, source.length);
  for (let i = 0; i < source.length; i++) {
    const value = bits[i]!;
    const sign = (value >>> 16) & 0x8000;
    const magnitude = value & 0x7fffffff;
    if (magnitude < 0x38800000) {
      // Below 2^-14, the smallest normal: count units of 2^-24, which the product holds exactly.
      target[i] = sign | roundToEven(Math.abs(source[i]!) * 16777216);
    } else if (magnitude < 0x47800000) {
      // Below 2^16: move the exponent's bias from 127 to 15 and round off 13 bits. A carry may run into infinity.
      target[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else {
      target[i] = sign | (magnitude > 0x7f800000 ? 0x7e00 | ((magnitude >>> 13) & 0x3ff) : 0x7c00);
    }
  }
  return target;
}

/** Element types of 16 bits. */
export type HalfDtype = 'F16' | 'BF16';

/** All 65 536 values of each 16-bit type as bits of the other (128 KiB), made at the first use. */
const halvesOf: Partial<Record<HalfDtype, Uint16Array>> = {};

/**
 * Brings elements of one 16-bit type to the other, rounded as by way of f32.
 * @param dtype of the bytes, which must begin at a multiple of 2 in their buffer
 * @param memory may hold the result, if it is long enough
 */
export function otherHalf(dtype: HalfDtype, bytes: Uint8Array, memory?: Float32Array): Uint8Array {
  const values = (halvesOf[dtype] ??= makeHalves(dtype));
  const source = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const fits = memory && bytes.byteLength <= memory.byteLength;
  const target = fits
    ? new Uint16Array(memory.buffer, memory.byteOffset, source.length)
    : new Uint16Array(source.length);
  for (let i = 0; i < source.length; i++) target[i] = values[source[i]!]!;
  return new Uint8Array(target.buffer, target.byteOffset, bytes.byteLength);
}

/**
 * Reads little-endian bytes of a tensor as f32 values.
 * @param bytes must begin at a multiple of the element size in its buffer, as `TensorSource.read` returns it
 * @param memory may hold the values of 16-bit types, if it is long enough
 * @throws SubzeroError `unsupported` if the type does not convert to f32.
 */
export function bytesToF32(dtype: string, bytes: Uint8Array, memory?: Float32Array): Float32Array {
  if (dtype === 'F32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  // A typed array rounds each value once, to nearest, ties to even.
  if (dtype === 'F64') return new Float32Array(new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8));
  const bits = (): Uint16Array => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const count = bytes.byteLength / 2;
  const target = memory && count <= memory.length ? memory.subarray(0, count) : undefined;
  if (dtype === 'BF16') return bf16ToF32(bits(), target);
  if (dtype === 'F16') return f16ToF32(bits(), target);
  throw new SubzeroError('unsupported', `expected a tensor of F64, F32, F16 or BF16, got ${dtype}`);
}

/**
 * The inverse of {@link bytesToF32}, rounding to nearest, ties to even. For F32 the result shares the values' memory.
 */
export function f32ToBytes(dtype: FloatDtype, values: Float32Array): Uint8Array {
  const stored = dtype === 'F32' ? values : dtype === 'BF16' ? f32ToBf16(values) : f32ToF16(values);
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

/** The bits of f32 values. Moving bits and not values keeps NaN payloads on engines that would change them. */
function bitsOf(values: Float32Array, length: number): Uint32Array {
  checkLength(values, length);
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function checkLength(target: { length: number }, length: number): void {
  if (target.length < length) {
    throw new RangeError(`expected a target of at least ${length} elements, got ${target.length}`);
  }
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

function makeHalves(dtype: HalfDtype): Uint16Array {
  const all = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
  return dtype === 'F16' ? f32ToBf16(f16ToF32(all)) : f32ToF16(bf16ToF32(all));
}

function makeF16Values(): Uint32Array {
  const values = new Float32Array(0x10000);
  const bits = new Uint32Array(values.buffer);
  for (let half = 0; half < 0x8000; half++) {
    const exponent = half >>> 10;
    const mantissa = half & 0x3ff;
    if (exponent === 0) values[half] = mantissa / 16777216;
    else if (exponent === 31) bits[half] = 0x7f800000 | (mantissa << 13);
    else bits[half] = ((exponent + 112) << 23) | (mantissa << 13);
    bits[half | 0x8000] = (bits[half]! | 0x80000000) >>> 0;
  }
  return bits;
}
