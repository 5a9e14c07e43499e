/**
 * Storage types with an f32 scale and an f32 minimum for 32 elements: a block is scale, minimum and codes.
 *
 * @module
 */

import type { CodeGroups } from './groups.ts';

const width = 32;
const headBytes = 8;

/** Elements of a block. */
export const scaledMinimaElements = width;

/**
 * Lays out blocks.
 * @param blockBytes bytes of a block
 * @param pack writes the codes of one block
 */
export function layOutScaledMinima(
  { codes, scales, minima }: CodeGroups,
  blockBytes: number,
  pack: (codes: Int8Array, target: Uint8Array) => void,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(scales.length * blockBytes);
  const view = new DataView(bytes.buffer);
  for (const [group, scale] of scales.entries()) {
    const at = group * blockBytes;
    view.setFloat32(at, scale, true);
    view.setFloat32(at + 4, minima?.[group] ?? 0, true);
    pack(codes.subarray(group * width, (group + 1) * width), bytes.subarray(at + headBytes, at + blockBytes));
  }
  return bytes;
}

/** The inverse of {@link layOutScaledMinima}. */
export function readScaledMinima(
  bytes: Uint8Array,
  blockBytes: number,
  unpack: (source: Uint8Array, codes: Int8Array) => void,
): CodeGroups {
  const count = bytes.length / blockBytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const codes = new Int8Array(count * width);
  const scales = new Float32Array(count);
  const minima = new Float32Array(count);
  for (let group = 0; group < count; group++) {
    const at = group * blockBytes;
    scales[group] = view.getFloat32(at, true);
    minima[group] = view.getFloat32(at + 4, true);
    unpack(bytes.subarray(at + headBytes, at + blockBytes), codes.subarray(group * width, (group + 1) * width));
  }
  return { codes, width, scales, minima };
}
