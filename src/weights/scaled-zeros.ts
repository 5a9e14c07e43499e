/**
 * Storage types with an f32 scale and a code that stands for zero for 128 elements: a block is scale, zero and codes.
 * Integer formats of Hugging Face checkpoints come to these: their products are rounded once, whatever the type of
 * their scales.
 *
 * @module
 */

/** value = scale · (code − zero), for groups of {@link scaledZerosElements} codes. */
export interface ZeroedGroups {
  codes: Int8Array;
  /** One for each group. */
  scales: Float32Array;
  /** Whole numbers, one for each group. */
  zeros: Float32Array;
}

const width = 128;
const headBytes = 8;

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
  const bytes = new Uint8Array(scales.length * blockBytes);
  const view = new DataView(bytes.buffer);
  for (const [group, scale] of scales.entries()) {
    const at = group * blockBytes;
    view.setFloat32(at, scale, true);
    view.setFloat32(at + 4, zeros[group]!, true);
    pack(codes.subarray(group * width, (group + 1) * width), bytes.subarray(at + headBytes, at + blockBytes));
  }
  return bytes;
}

/** The values of stored blocks: products are exact in f64 and rounded to f32 once. */
export function scaledZerosValues(
  bytes: Uint8Array,
  blockBytes: number,
  unpack: (source: Uint8Array, codes: Int8Array) => void,
): Float32Array {
  const count = bytes.length / blockBytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const codes = new Int8Array(width);
  const values = new Float32Array(count * width);
  for (let group = 0; group < count; group++) {
    const at = group * blockBytes;
    const scale = view.getFloat32(at, true);
    const zero = view.getFloat32(at + 4, true);
    unpack(bytes.subarray(at + headBytes, at + blockBytes), codes);
    for (let index = 0; index < width; index++) values[group * width + index] = scale * (codes[index]! - zero);
  }
  return values;
}
