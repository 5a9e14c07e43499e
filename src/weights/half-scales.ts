/**
 * Storage types with one f16 scale for 32 elements: a block is the scales of two such groups and their codes.
 *
 * @module
 */

import { bytesToF32, f32ToBytes } from '../safetensors/convert.ts';
import type { CodeGroups } from './groups.ts';

const width = 32;
const groups = 2;
const scaleBytes = 2 * groups;

/** Elements of a block. */
export const halfScaleElements = groups * width;

/**
 * Lays out blocks.
 * @param blockBytes bytes of a block
 * @param pack writes the codes of one block
 */
export function layOutHalfScales(
  { codes, scales }: Pick<CodeGroups, 'codes' | 'scales'>,
  blockBytes: number,
  pack: (codes: Int8Array, target: Uint8Array) => void,
): Uint8Array {
  const halves = f32ToBytes('F16', scales);
  const bytes = new Uint8Array((codes.length / halfScaleElements) * blockBytes);
  for (let block = 0, at = 0; at < bytes.length; block++, at += blockBytes) {
    bytes.set(halves.subarray(block * scaleBytes, (block + 1) * scaleBytes), at);
    const own = codes.subarray(block * halfScaleElements, (block + 1) * halfScaleElements);
    pack(own, bytes.subarray(at + scaleBytes, at + blockBytes));
  }
  return bytes;
}

/** The inverse of {@link layOutHalfScales}. */
export function readHalfScales(
  bytes: Uint8Array,
  blockBytes: number,
  unpack: (source: Uint8Array, codes: Int8Array) => void,
): CodeGroups {
  const blocks = bytes.length / blockBytes;
  const codes = new Int8Array(blocks * halfScaleElements);
  const halves = new Uint8Array(blocks * scaleBytes);
  for (let block = 0; block < blocks; block++) {
    const at = block * blockBytes;
    halves.set(bytes.subarray(at, at + scaleBytes), block * scaleBytes);
    const own = codes.subarray(block * halfScaleElements, (block + 1) * halfScaleElements);
    unpack(bytes.subarray(at + scaleBytes, at + blockBytes), own);
  }
  return { codes, width, scales: bytesToF32('F16', halves) };
}

/**
 * Rounds values to codes with a scale that is an f16. A group with a value that is not finite has a scale that is not,
 * so that a broken weight stays one.
 *
 * @param reach the code of the element with the largest magnitude; a positive one is given to either sign
 */
export function quantise(values: Float32Array, reach: number): Pick<CodeGroups, 'codes' | 'scales'> {
  const wished = new Float32Array(values.length / width);
  for (let group = 0; group < wished.length; group++) {
    let extreme = 0;
    for (let index = group * width; index < (group + 1) * width; index++) {
      const value = values[index]!;
      if (Math.abs(value) > Math.abs(extreme) || Number.isNaN(value)) extreme = value;
    }
    wished[group] = (reach > 0 ? Math.abs(extreme) : extreme) / reach;
  }
  const scales = bytesToF32('F16', f32ToBytes('F16', wished));
  const codes = new Int8Array(values.length);
  const [lowest, highest] = reach > 0 ? [-reach, reach] : [reach, -reach - 1];
  for (let index = 0; index < values.length; index++) {
    const scale = scales[Math.floor(index / width)]!;
    if (scale !== 0) codes[index] = Math.max(lowest, Math.min(highest, Math.round(values[index]! / scale)));
  }
  return { codes, scales };
}
