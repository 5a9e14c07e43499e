import type { WeightCodec } from './codec.ts';

/** Elements that share an exponent, and those of a block. */
const width = 32;
export const mxfp4Elements = 2 * width;

const codeBytes = width / 2;
/** Two exponents and two unused bytes, then the codes of both groups. */
const headBytes = 4;
const blockBytes = headBytes + 2 * codeBytes;

/** Twice the magnitudes of the floats of 4 bits (E2M1), whose fourth bit is the sign. */
const doubledE2m1: readonly number[] = [0, 1, 2, 3, 4, 6, 8, 12];

/** Groups of 32 floats of 4 bits with a power of two each: value = 2^(exponent − 127) · float. */
export interface Mxfp4Groups {
  /** One for each group. */
  exponents: Uint8Array;
  /** Two codes a byte, the first one in the low half. */
  codes: Uint8Array;
}

/** Lays out blocks. */
export function layOutMxfp4({ exponents, codes }: Mxfp4Groups): Uint8Array<ArrayBuffer> {
  const count = exponents.length / 2;
  const bytes = new Uint8Array(count * blockBytes);
  for (let block = 0; block < count; block++) {
    const at = block * blockBytes;
    bytes.set(exponents.subarray(2 * block, 2 * block + 2), at);
    bytes.set(codes.subarray(2 * codeBytes * block, 2 * codeBytes * (block + 1)), at + headBytes);
  }
  return bytes;
}

/** The values of groups, which are exact unless they are beyond the range of f32. */
export function mxfp4Values({ exponents, codes }: Mxfp4Groups): Float32Array {
  const values = new Float32Array(exponents.length * width);
  for (let group = 0, place = 0; group < exponents.length; group++) {
    const scale = 2 ** (exponents[group]! - 128);
    for (const byte of codes.subarray(group * codeBytes, (group + 1) * codeBytes)) {
      values[place++] = scale * doubledOf(byte & 15);
      values[place++] = scale * doubledOf(byte >> 4);
    }
  }
  return values;
}

function doubledOf(code: number): number {
  const magnitude = doubledE2m1[code & 7]!;
  return code & 8 ? -magnitude : magnitude;
}

/** Weights as floats of 4 bits with a power of two for 32 of them (OCP's MXFP4): 4.5 bits an element. */
export const mxfp4 = {
  name: 'mxfp4',
  block: { elements: mxfp4Elements, bytes: blockBytes },
  // Its values have two bits and the exponents of f32.
  dtype: 'BF16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array => {
    const count = bytes.length / blockBytes;
    const exponents = new Uint8Array(2 * count);
    const codes = new Uint8Array(2 * codeBytes * count);
    for (let block = 0; block < count; block++) {
      const own = bytes.subarray(block * blockBytes, (block + 1) * blockBytes);
      exponents.set(own.subarray(0, 2), 2 * block);
      codes.set(own.subarray(headBytes), 2 * codeBytes * block);
    }
    return mxfp4Values({ exponents, codes });
  },
} as const satisfies WeightCodec;
