/**
 * Storage types whose codes are places in a table, with an f32 scale for 64 elements: a block is the scale and its
 * codes.
 *
 * @module
 */

/** Elements of a block. */
export const tableElements = 64;

const headBytes = 4;

/** value = scale · table[code], for groups of {@link tableElements} codes. */
export interface TableGroups {
  /** As they are stored, behind each other. */
  codes: Uint8Array;
  /** One for each group. */
  scales: Float32Array;
}

/** Lays out blocks. */
export function layOutTable({ codes, scales }: TableGroups): Uint8Array<ArrayBuffer> {
  const codeBytes = codes.length / scales.length;
  const bytes = new Uint8Array(codes.length + headBytes * scales.length);
  const view = new DataView(bytes.buffer);
  for (const [group, scale] of scales.entries()) {
    const at = group * (headBytes + codeBytes);
    view.setFloat32(at, scale, true);
    bytes.set(codes.subarray(group * codeBytes, (group + 1) * codeBytes), at + headBytes);
  }
  return bytes;
}

/**
 * The values of stored blocks: products are exact in f64 and rounded to f32 once.
 * @param bits 4: two codes a byte, the first one in the low half; or 8
 * @param table the value of each code
 */
export function tableValues(bytes: Uint8Array, bits: 4 | 8, table: ArrayLike<number>): Float32Array {
  const codeBytes = (tableElements * bits) / 8;
  const blockBytes = headBytes + codeBytes;
  const count = bytes.length / blockBytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(count * tableElements);
  for (let group = 0, place = 0; group < count; group++) {
    const scale = view.getFloat32(group * blockBytes, true);
    const start = group * blockBytes + headBytes;
    for (const byte of bytes.subarray(start, start + codeBytes)) {
      if (bits === 8) {
        values[place++] = scale * table[byte]!;
      } else {
        values[place++] = scale * table[byte & 15]!;
        values[place++] = scale * table[byte >> 4]!;
      }
    }
  }
  return values;
}
