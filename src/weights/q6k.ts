import type { WeightCodec } from './codec.ts';
import { bytesOf, groupValues } from './groups.ts';

/** Elements of a block, and of the groups in it. */
const elements = 256;
const width = 16;
const groups = elements / width;

/** An f32, an f16 in files, so that its products are exact; then the scale of each group, a byte each; then codes. */
const headBytes = 4 + groups;
export const q6kBytes = headBytes + elements;

/**
 * Weights as 8-bit codes in blocks of 256, x = d · scale · code, where d is an f32 and every 16 codes have a signed
 * scale of one byte: GGUF's Q6_K with its codes widened to bytes, 8.625 bits an element.
 */
export const q6k = {
  name: 'q6k',
  block: { elements, bytes: q6kBytes },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array => {
    const blocks = bytes.length / q6kBytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const codes = new Int8Array(blocks * elements);
    const scales = new Float32Array(blocks * groups);
    for (let block = 0; block < blocks; block++) {
      const at = block * q6kBytes;
      const d = view.getFloat32(at, true);
      for (let group = 0; group < groups; group++) scales[block * groups + group] = d * view.getInt8(at + 4 + group);
      bytesOf(codes).set(bytes.subarray(at + headBytes, at + q6kBytes), block * elements);
    }
    return groupValues({ codes, width, scales });
  },
} as const satisfies WeightCodec;
