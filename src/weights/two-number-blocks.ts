/**
 * Blocks of two f32 numbers, a scale and another one, and the codes of a group.
 *
 * @module
 */

const headBytes = 8;

/** The groups of some blocks, one after the other. */
export interface TwoNumberGroups {
  codes: Int8Array;
  /** One for each group. */
  scales: Float32Array;
  others: Float32Array;
}

/**
 * Lays out blocks.
 * @param width codes of a group
 * @param blockBytes bytes of a block
 * @param pack writes the codes of one block
 */
export function layOutTwoNumbers(
  { codes, scales, others }: TwoNumberGroups,
  width: number,
  blockBytes: number,
  pack: (codes: Int8Array, target: Uint8Array) => void,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(scales.length * blockBytes);
  const view = new DataView(bytes.buffer);
  for (const [group, scale] of scales.entries()) {
    const at = group * blockBytes;
    view.setFloat32(at, scale, true);
    view.setFloat32(at + 4, others[group]!, true);
    pack(codes.subarray(group * width, (group + 1) * width), bytes.subarray(at + headBytes, at + blockBytes));
  }
  return bytes;
}

/** The inverse of {@link layOutTwoNumbers}. */
export function readTwoNumbers(
  bytes: Uint8Array,
  width: number,
  blockBytes: number,
  unpack: (source: Uint8Array, codes: Int8Array) => void,
): TwoNumberGroups {
  const count = bytes.length / blockBytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const codes = new Int8Array(count * width);
  const scales = new Float32Array(count);
  const others = new Float32Array(count);
  for (let group = 0; group < count; group++) {
    const at = group * blockBytes;
    scales[group] = view.getFloat32(at, true);
    others[group] = view.getFloat32(at + 4, true);
    unpack(bytes.subarray(at + headBytes, at + blockBytes), codes.subarray(group * width, (group + 1) * width));
  }
  return { codes, scales, others };
}
