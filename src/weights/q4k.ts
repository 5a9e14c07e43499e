import { bytesToF32 } from '../safetensors/convert.ts';
import type { WeightCodec } from './codec.ts';
import { groupValues, unpackNibbles } from './groups.ts';

/** Elements of a block, and of the groups in it. */
const elements = 256;
const width = 32;
const groups = elements / width;

/** Two f16; then scale and minimum of each group, a byte each; then two codes a byte. */
const headBytes = 4 + 2 * groups;
export const q4kBytes = headBytes + elements / 2;

/**
 * Weights as 4-bit codes in blocks of 256, x = d · scale · code − dmin · minimum, where d and dmin are f16 and every 32
 * codes have a scale and a minimum of one byte: GGUF's Q4_K with its 6-bit numbers and its codes put in order, 4.625
 * bits an element.
 */
export const q4k = {
  name: 'q4k',
  block: { elements, bytes: q4kBytes },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array => {
    const blocks = bytes.length / q4kBytes;
    const codes = new Int8Array(blocks * elements);
    const scales = new Float32Array(blocks * groups);
    const minima = new Float32Array(blocks * groups);
    for (let block = 0; block < blocks; block++) {
      const own = bytes.slice(block * q4kBytes, (block + 1) * q4kBytes);
      const [d, dmin] = bytesToF32('F16', own.subarray(0, 4));
      for (let group = 0; group < groups; group++) {
        scales[block * groups + group] = d! * own[4 + 2 * group]!;
        minima[block * groups + group] = -dmin! * own[5 + 2 * group]!;
      }
      unpackNibbles(own.subarray(headBytes), 0, codes.subarray(block * elements, (block + 1) * elements));
    }
    return groupValues({ codes, width, scales, minima });
  },
} as const satisfies WeightCodec;
