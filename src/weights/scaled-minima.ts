/**
 * Storage types with an f32 scale and an f32 minimum for 32 elements: a block is scale, minimum and codes.
 *
 * @module
 */

import type { CodeGroups } from './groups.ts';
import { layOutTwoNumbers, readTwoNumbers } from './two-number-blocks.ts';

const width = 32;

/** Elements of a block. */
export const scaledMinimaElements = width;

/**
 * Lays out blocks.
 * @param blockBytes bytes of a block
 * @param pack writes the codes of one block
 */
export function layOutScaledMinima(
  { codes, scales, minima = new Float32Array(scales.length) }: CodeGroups,
  blockBytes: number,
  pack: (codes: Int8Array, target: Uint8Array) => void,
): Uint8Array<ArrayBuffer> {
  return layOutTwoNumbers({ codes, scales, others: minima }, width, blockBytes, pack);
}

/** The inverse of {@link layOutScaledMinima}. */
export function readScaledMinima(
  bytes: Uint8Array,
  blockBytes: number,
  unpack: (source: Uint8Array, codes: Int8Array) => void,
): CodeGroups {
  const { codes, scales, others: minima } = readTwoNumbers(bytes, width, blockBytes, unpack);
  return { codes, width, scales, minima };
}
