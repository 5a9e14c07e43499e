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

/** The bits of infinity. */
const infinity = 0x7f800000;

/** Elements of a block. */
export const halfScaleElements = groups * width;

/**
 * Lays out blocks.
 * @param blockBytes bytes of a block
 * @param pack writes the codes of one block, the first of which is `codes[first]`, from `target[at]` on
 */
export function layOutHalfScales(
  { codes, scales }: Pick<CodeGroups, 'codes' | 'scales'>,
  blockBytes: number,
  pack: (codes: Int8Array, first: number, target: Uint8Array, at: number) => void,
): Uint8Array {
  const halves = f32ToBytes('F16', scales);
  const bytes = new Uint8Array((codes.length / halfScaleElements) * blockBytes);
  for (let block = 0, at = 0; at < bytes.length; block++, at += blockBytes) {
    // Views of so few elements would take longer than what is done in them.
    for (let index = 0; index < scaleBytes; index++) bytes[at + index] = halves[block * scaleBytes + index]!;
    pack(codes, block * halfScaleElements, bytes, at + scaleBytes);
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
  // As whole numbers the bits of magnitudes have the order of these, with NaN above infinity. The last NaN counts.
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const wished = new Float32Array(values.length / width);
  for (let group = 0; group < wished.length; group++) {
    let place = group * width;
    let most = bits[place]! & 0x7fffffff;
    for (let index = place + 1; index < (group + 1) * width; index++) {
      const magnitude = bits[index]! & 0x7fffffff;
      if (magnitude > most || magnitude > infinity) {
        most = magnitude;
        place = index;
      }
    }
    // Zero has no sign to give to the scale.
    const extreme = most === 0 ? 0 : values[place]!;
    wished[group] = (reach > 0 ? Math.abs(extreme) : extreme) / reach;
  }
  const scales = bytesToF32('F16', f32ToBytes('F16', wished));
  const codes = new Int8Array(values.length);
  const [lowest, highest] = reach > 0 ? [-reach, reach] : [reach, -reach - 1];
  for (let group = 0; group < scales.length; group++) {
    const scale = scales[group]!;
    if (scale === 0 || !Number.isFinite(scale)) continue;
    for (let index = group * width; index < (group + 1) * width; index++) {
      // Math.round takes five times as long. No quotient reaches 256, as a scale is rounded by half of it at most, and
      // a quotient of 24 bits by 11 is a half or far enough from it for the sum not to be rounded there.
      const code = ((values[index]! / scale + 256.5) | 0) - 256;
      codes[index] = Math.max(lowest, Math.min(highest, code));
    }
  }
  return { codes, scales };
}
