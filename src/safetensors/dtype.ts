/**
 * Element types of the safetensors format and their sizes.
 *
 * @see https://github.com/huggingface/safetensors#format
 * @module
 */

/** Element types that can be opened. */
export type SafetensorsDtype =
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'F64'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U8'
  | 'BOOL'
  | 'U16'
  | 'U32'
  | 'U64'
  | 'F8_E4M3'
  | 'F8_E5M2';

/** Bytes of one element. */
export const dtypeBytes: Readonly<Record<SafetensorsDtype, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/** Types that the format defines and that no model supported here uses; some of them are smaller than a byte. */
const otherDtypes = ['C64', 'F4', 'F6_E2M3', 'F6_E3M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'];

/** True if `name` is an element type that can be opened. */
export function isSafetensorsDtype(name: unknown): name is SafetensorsDtype {
  return typeof name === 'string' && Object.hasOwn(dtypeBytes, name);
}

/** True if `name` is valid in the format and cannot be opened here. */
export function isUnsupportedDtype(name: unknown): boolean {
  return typeof name === 'string' && otherDtypes.includes(name);
}

/** True for 0, 1, 2, … below 2^53. JSON can hold -0 too, which the reference parser refuses. */
export function isWholeNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

/**
 * Number of elements of `shape`, or `undefined` if a dimension is no whole number ≥ 0 or if the product cannot be
 * held exactly. As in the reference parser the dimensions are multiplied in order, so `[2^40, 2^40, 0]` overflows.
 */
export function elementCount(shape: readonly unknown[]): number | undefined {
  let count = 1;
  for (const dimension of shape) {
    if (!isWholeNumber(dimension)) return undefined;
    count *= dimension;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}
