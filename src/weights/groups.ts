/**
 * Whole numbers that share a scale along a row: what every quantised format comes to.
 *
 * @module
 */

/** value = scale · code + minimum, for groups of `width` codes. */
export interface CodeGroups {
  codes: Int8Array;
  width: number;
  /** One for each group. */
  scales: Float32Array;
  /** 0 where absent. */
  minima?: Float32Array;
}

/** Their values: products are exact in f64 and sums are rounded to f32 once. */
export function groupValues({ codes, width, scales, minima }: CodeGroups): Float32Array {
  const values = new Float32Array(codes.length);
  for (let group = 0, place = 0; group < scales.length; group++) {
    const scale = scales[group]!;
    const minimum = minima?.[group] ?? 0;
    for (const end = place + width; place < end; place++) values[place] = scale * codes[place]! + minimum;
  }
  return values;
}

/** Codes that lie as bytes. */
export function bytesOf(codes: Int8Array): Uint8Array {
  return new Uint8Array(codes.buffer, codes.byteOffset, codes.length);
}

/** Two codes from 0 to 15 a byte, the first one in the low half. @param target receives half as many bytes */
export function packNibbles(codes: Int8Array, offset: number, target: Uint8Array): void {
  for (let index = 0; index < codes.length; index += 2) {
    target[index / 2] = (codes[index]! + offset) | ((codes[index + 1]! + offset) << 4);
  }
}

/** The inverse of {@link packNibbles}. */
export function unpackNibbles(bytes: Uint8Array, offset: number, target: Int8Array): void {
  for (const [index, byte] of bytes.entries()) {
    target[2 * index] = (byte & 15) - offset;
    target[2 * index + 1] = (byte >> 4) - offset;
  }
}
