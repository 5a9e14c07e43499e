/**
 * Storage types with an f32 scale and a code that stands for zero for 128 elements: a block is scale, zero and codes.
 * Integer formats of Hugging Face checkpoints come to these: their products are rounded once, whatever the type of
 * their scales.
 *
 * @module
 */

import { layOutTwoNumbers, readTwoNumbers } from './two-number-blocks.ts';

/** value = scale · (code − zero), for groups of {@link scaledZerosElements} codes. */
export interface ZeroedGroups {
  codes: Int8Array;
  /** One for each group. */
  scales: Float32Array;
  /** Whole numbers, one for each group. */
  zeros: Float32Array;
}

const width = 128;

/** Elements of a block. */
export const scaledZerosElements = width;

/**
 * Lays out blocks.
 * @param blockBytes bytes of a block
 * @param pack writes the codes of one block
 */
export function layOutScaledZeros(
  { codes, scales, zeros }: ZeroedGroups,
  blockBytes: number,
  pack: (codes: Int8Array, target: Uint8Array) => void,
): Uint8Array<ArrayBuffer> {
  return layOutTwoNumbers({ codes, scales, others: zeros }, width, blockBytes, pack);
}

/** The values of stored blocks: products are exact in f64 and rounded to f32 once. */
export function scaledZerosValues(
  bytes: Uint8Array,
  blockBytes: number,
  unpack: (source: Uint8Array, codes: Int8Array) => void,
): Float32Array {
  const { codes, scales, others: zeros } = readTwoNumbers(bytes, width, blockBytes, unpack);
  const values = new Float32Array(codes.length);
  for (let group = 0; group < scales.length; group++) {
    const [scale, zero] = [scales[group]!, zeros[group]!];
    for (let index = group * width; index < (group + 1) * width; index++)
      values[index] = scale * (codes[index]! - zero);
  }
  return values;
}
