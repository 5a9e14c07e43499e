/**
 * Quantised blocks as weight files have them, and how they become a storage type. GGUF's types: ggml-quants.c and
 * ggml-common.h of ggml; all numbers are little-endian.
 *
 * @module
 */

import { bytesToF32 } from '../safetensors/convert.ts';
import { type CodeGroups, groupValues, packNibbles } from './groups.ts';
import { layOutMxfp4, type Mxfp4Groups, mxfp4Values } from './mxfp4.ts';
import { layOutQ4 } from './q4.ts';
import { q4kBytes } from './q4k.ts';
import { layOutQ4m } from './q4m.ts';
import { q6kBytes } from './q6k.ts';
import { layOutQ8 } from './q8.ts';
import { layOutQ8m } from './q8m.ts';

/** The storage types that hold blocks of files. */
type BlockStorage = 'q8' | 'q4' | 'q8m' | 'q4m' | 'q6k' | 'q4k' | 'mxfp4';

/** A type of blocks in a file. */
export interface BlockFormat {
  /** Elements of a row that make a block, and the bytes of it. */
  elements: number;
  bytes: number;
  /** The storage type that holds its values exactly, where rows are whole blocks of that type too (`fitsRows`). */
  layout: BlockStorage;
  /** Whole rows of blocks in that type. @param blocks rows whose elements `layout` can hold in whole blocks */
  toLayout(blocks: Uint8Array): Uint8Array;
  /** A storage type of smaller blocks that holds the values too, in more bits. */
  smaller?: Pick<BlockFormat, 'layout' | 'toLayout'>;
  /** The values of blocks: exactly those of the format's own library. */
  toF32(blocks: Uint8Array): Float32Array;
}

/** A type whose blocks are groups of codes that a storage type takes as they are. */
function grouped(
  format: Pick<BlockFormat, 'elements' | 'bytes' | 'layout'>,
  read: (blocks: Uint8Array) => CodeGroups,
  layOut: (groups: CodeGroups) => Uint8Array,
): BlockFormat {
  return {
    ...format,
    toLayout: (blocks) => layOut(read(blocks)),
    toF32: (blocks) => groupValues(read(blocks)),
  };
}

/** Reads blocks of 32 elements with `halves` f16 numbers in front: a scale and, where there are two, a minimum. */
function blocksOf32(
  bytes: number,
  halves: 1 | 2,
  readCodes: (block: Uint8Array, codes: Int8Array) => void,
): (blocks: Uint8Array) => CodeGroups {
  return (blocks) => {
    const count = blocks.length / bytes;
    const codes = new Int8Array(count * 32);
    const head = new Uint8Array(count * 2 * halves);
    for (let block = 0; block < count; block++) {
      const own = blocks.subarray(block * bytes, (block + 1) * bytes);
      head.set(own.subarray(0, 2 * halves), block * 2 * halves);
      readCodes(own.subarray(2 * halves), codes.subarray(block * 32, (block + 1) * 32));
    }
    const numbers = bytesToF32('F16', head);
    if (halves === 1) return { codes, width: 32, scales: numbers };
    const every = (first: number): Float32Array =>
      Float32Array.from({ length: count }, (_, i) => numbers[2 * i + first]!);
    return { codes, width: 32, scales: every(0), minima: every(1) };
  };
}

const eightBits = (block: Uint8Array, codes: Int8Array): void => {
  new Uint8Array(codes.buffer, codes.byteOffset, 32).set(block);
};

/** Low halves of 16 bytes, then their high halves; `offset` is the code of the value 0. */
const fourBits = (offset: number) => (block: Uint8Array, codes: Int8Array) => {
  for (let index = 0; index < 16; index++) {
    codes[index] = (block[index]! & 15) - offset;
    codes[index + 16] = (block[index]! >> 4) - offset;
  }
};

/** 32 fifth bits, then as {@link fourBits}. */
const fiveBits = (offset: number) => (block: Uint8Array, codes: Int8Array) => {
  fourBits(offset)(block.subarray(4), codes);
  for (let index = 0; index < 32; index++) codes[index]! += ((block[index >> 3]! >> (index & 7)) & 1) << 4;
};

/** MXFP4: an exponent of one byte, and 32 floats of 4 bits in the order of {@link fourBits}. */
function readMxfp4(blocks: Uint8Array): Mxfp4Groups {
  const count = blocks.length / 17;
  const exponents = new Uint8Array(count);
  const codes = new Uint8Array(count * 16);
  const own = new Int8Array(32);
  for (let block = 0; block < count; block++) {
    exponents[block] = blocks[block * 17]!;
    fourBits(0)(blocks.subarray(block * 17 + 1, (block + 1) * 17), own);
    packNibbles(own, 0, codes.subarray(block * 16, (block + 1) * 16));
  }
  return { exponents, codes };
}

/**
 * The 6-bit scale and minimum of each of the eight groups of a K block, as pairs of bytes.
 * @param packed 12 bytes: `scales` of block_q4_K and block_q5_K
 */
function scalesAndMinima(packed: Uint8Array): Uint8Array {
  const pairs = new Uint8Array(16);
  for (let group = 0; group < 4; group++) {
    const [low, middle, high] = [packed[group]!, packed[group + 4]!, packed[group + 8]!];
    pairs[2 * group] = low & 63;
    pairs[2 * group + 1] = middle & 63;
    pairs[2 * (group + 4)] = (high & 15) | ((low >> 6) << 4);
    pairs[2 * (group + 4) + 1] = (high >> 4) | ((middle >> 6) << 4);
  }
  return pairs;
}

/** Codes of 4 bits of a K block: for every 64 of them 32 bytes, low halves first. */
function kNibbles(bytes: Uint8Array, codes: Int8Array): void {
  for (let index = 0; index < 128; index++) {
    const place = (index >> 5) * 64 + (index & 31);
    codes[place] = bytes[index]! & 15;
    codes[place + 32] = bytes[index]! >> 4;
  }
}

/** Q4_K and Q5_K: 256 codes from 0 on in eight groups, x = d · scale · code − dmin · minimum. */
function readK(
  blockBytes: number,
  readCodes: (block: Uint8Array, codes: Int8Array) => void,
): (blocks: Uint8Array) => CodeGroups {
  return (blocks) => {
    const count = blocks.length / blockBytes;
    const codes = new Int8Array(count * 256);
    const scales = new Float32Array(count * 8);
    const minima = new Float32Array(count * 8);
    for (let block = 0; block < count; block++) {
      const own = blocks.slice(block * blockBytes, (block + 1) * blockBytes);
      const [d, dmin] = bytesToF32('F16', own.subarray(0, 4));
      for (const [index, value] of scalesAndMinima(own.subarray(4, 16)).entries()) {
        if (index % 2 === 0) scales[block * 8 + index / 2] = d! * value;
        else minima[block * 8 + (index - 1) / 2] = -dmin! * value;
      }
      readCodes(own.subarray(16), codes.subarray(block * 256, (block + 1) * 256));
    }
    return { codes, width: 32, scales, minima };
  };
}

const readQ4K = readK(144, kNibbles);

const readQ5K = readK(176, (block, codes) => {
  kNibbles(block.subarray(32), codes);
  for (let index = 0; index < 256; index++) codes[index]! += ((block[index & 31]! >> (index >> 5)) & 1) << 4;
});

/** The codes of a Q6_K block: low halves in `ql`, upper two bits in `qh`, 32 above the value. */
function q6kCodes(block: Uint8Array, codes: Int8Array): void {
  for (let index = 0; index < 256; index++) {
    const half = index >> 7;
    const quarter = (index >> 5) & 3;
    const place = index & 31;
    const low = block[half * 64 + (quarter & 1) * 32 + place]!;
    const high = block[128 + half * 32 + place]!;
    codes[index] = ((quarter < 2 ? low & 15 : low >> 4) | (((high >> (2 * quarter)) & 3) << 4)) - 32;
  }
}

function readQ6K(blocks: Uint8Array): CodeGroups {
  const count = blocks.length / 210;
  const codes = new Int8Array(count * 256);
  const scales = new Float32Array(count * 16);
  for (let block = 0; block < count; block++) {
    const own = blocks.slice(block * 210, (block + 1) * 210);
    const d = bytesToF32('F16', own.subarray(208))[0]!;
    const groupScales = new Int8Array(own.buffer, 192, 16);
    for (const [group, scale] of groupScales.entries()) scales[block * 16 + group] = d * scale;
    q6kCodes(own, codes.subarray(block * 256, (block + 1) * 256));
  }
  return { codes, width: 16, scales };
}

/** Q4_K as it lies in storage type q4k. */
function layOutQ4K(blocks: Uint8Array): Uint8Array {
  const count = blocks.length / 144;
  const bytes = new Uint8Array(count * q4kBytes);
  const codes = new Int8Array(256);
  for (let block = 0; block < count; block++) {
    const own = blocks.subarray(block * 144, (block + 1) * 144);
    const target = bytes.subarray(block * q4kBytes, (block + 1) * q4kBytes);
    target.set(own.subarray(0, 4));
    target.set(scalesAndMinima(own.subarray(4, 16)), 4);
    kNibbles(own.subarray(16), codes);
    packNibbles(codes, 0, target.subarray(20));
  }
  return bytes;
}

/** Q6_K as it lies in storage type q6k. */
function layOutQ6K(blocks: Uint8Array): Uint8Array {
  const count = blocks.length / 210;
  const bytes = new Uint8Array(count * q6kBytes);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < count; block++) {
    const own = blocks.slice(block * 210, (block + 1) * 210);
    const at = block * q6kBytes;
    view.setFloat32(at, bytesToF32('F16', own.subarray(208))[0]!, true);
    bytes.set(own.subarray(192, 208), at + 4);
    q6kCodes(own, new Int8Array(bytes.buffer, at + 20, 256));
  }
  return bytes;
}

/** The name of a type of blocks, as its library calls it. */
export type BlockFormatName = 'Q8_0' | 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q4_K' | 'Q5_K' | 'Q6_K' | 'MXFP4';

/** The types by their names. */
export const blockFormats: Readonly<Record<BlockFormatName, BlockFormat>> = {
  Q8_0: grouped({ elements: 32, bytes: 34, layout: 'q8' }, blocksOf32(34, 1, eightBits), layOutQ8),
  Q4_0: grouped({ elements: 32, bytes: 18, layout: 'q4' }, blocksOf32(18, 1, fourBits(8)), layOutQ4),
  Q4_1: grouped({ elements: 32, bytes: 20, layout: 'q4m' }, blocksOf32(20, 2, fourBits(0)), layOutQ4m),
  Q5_0: grouped({ elements: 32, bytes: 22, layout: 'q8' }, blocksOf32(22, 1, fiveBits(16)), layOutQ8),
  Q5_1: grouped({ elements: 32, bytes: 24, layout: 'q8m' }, blocksOf32(24, 2, fiveBits(0)), layOutQ8m),
  Q4_K: {
    ...{ elements: 256, bytes: 144, layout: 'q4k', toLayout: layOutQ4K },
    smaller: { layout: 'q4m', toLayout: (it) => layOutQ4m(readQ4K(it)) },
    toF32: (it) => groupValues(readQ4K(it)),
  },
  Q5_K: grouped({ elements: 256, bytes: 176, layout: 'q8m' }, readQ5K, layOutQ8m),
  Q6_K: { elements: 256, bytes: 210, layout: 'q6k', toLayout: layOutQ6K, toF32: (it) => groupValues(readQ6K(it)) },
  MXFP4: {
    ...{ elements: 32, bytes: 17, layout: 'mxfp4' },
    toLayout: (it) => layOutMxfp4(readMxfp4(it)),
    toF32: (it) => mxfp4Values(readMxfp4(it)),
  },
};

/** The type of blocks that a file calls so. */
export function blockFormat(name: string): BlockFormat | undefined {
  return Object.hasOwn(blockFormats, name) ? blockFormats[name as BlockFormatName] : undefined;
}
