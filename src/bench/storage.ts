/**
 * Stored values as the checkpoint formats define them, computed bit by bit and independently of the code under test.
 *
 * @module
 */

import type { Storage } from '../weights/index.ts';

/** The number that 16 bits of IEEE binary16 represent. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The number that 16 bits of bfloat16 represent. */
export function fromBrain(bits: number): number {
  word[0] = bits << 16;
  return float[0]!;
}

/** The binary16 bits of a finite value, truncated towards zero. */
function halfBelow(value: number): number {
  const magnitude = Math.min(Math.abs(value), 65504);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (magnitude < 2 ** -14) return sign | Math.floor(magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  return sign | ((exponent + 15) << 10) | Math.min(1023, Math.floor((magnitude / 2 ** exponent - 1) * 1024));
}

/** The bfloat16 bits of a finite value, truncated towards zero. */
function brainBelow(value: number): number {
  float[0] = value;
  return word[0]! >>> 16;
}

/** The two neighbours of a finite value in a 16-bit format, by increasing magnitude; they may be equal. */
export function neighbours(storage: 'f16' | 'bf16', value: number): [number, number] {
  const bits = storage === 'f16' ? halfBelow(value) : brainBelow(value);
  const widen = storage === 'f16' ? fromHalf : fromBrain;
  const below = widen(bits);
  return [below, below === value ? below : widen(bits + 1)];
}

/** A matrix in a storage type: the bits to upload and the exact values that they represent. */
export interface StoredMatrix {
  rows: number;
  columns: number;
  storage: Storage;
  bits: Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
}

/** Stores f32 values by truncating them to the storage type. @param columns whole blocks of the type */
export function store(
  values: Float32Array<ArrayBuffer>,
  rows: number,
  columns: number,
  storage: Storage,
): StoredMatrix {
  if (storage === 'f32') return { rows, columns, storage, bits: values, values };
  if (storage !== 'f16' && storage !== 'bf16') return { rows, columns, storage, ...storeBlocks(values, storage) };
  const narrow = storage === 'f16' ? halfBelow : brainBelow;
  // A loop is needed: `Uint16Array.from` makes an ordinary array first, which is too large for the heap at a model's
  // size.
  const bits = new Uint16Array(values.length);
  for (let index = 0; index < values.length; index++) bits[index] = narrow(values[index]!);
  return { rows, columns, storage, bits, values: widenAll(bits, storage) };
}

/** The values of stored bits. */
export function widenAll(bits: Uint16Array, storage: 'f16' | 'bf16'): Float32Array<ArrayBuffer> {
  const widen = storage === 'f16' ? fromHalf : fromBrain;
  const values = new Float32Array(bits.length);
  for (let index = 0; index < bits.length; index++) values[index] = widen(bits[index]!);
  return values;
}

/** A storage type of blocks. */
type BlockStorage = Exclude<Storage, 'f32' | 'f16' | 'bf16'>;

/** Writes one block and tells the values that it has. */
type StoreBlock = (values: Float32Array, block: DataView) => number[];

const extremes = (values: Float32Array): [number, number] => [Math.min(...values), Math.max(...values)];

const within = (value: number, low: number, high: number): number => Math.max(low, Math.min(high, Math.trunc(value)));

/** Puts a code of 4 bits behind those before it, in a block that is zero. */
function putNibble(block: DataView, start: number, index: number, code: number): void {
  const at = start + (index >> 1);
  block.setUint8(at, block.getUint8(at) | (code << (4 * (index & 1))));
}

/** 64 values with an f16 scale for each half. */
const halfScales =
  (bits: 4 | 8): StoreBlock =>
  (values, block) => {
    const reach = bits === 8 ? 127 : 7;
    return Array.from({ length: 2 }, (_, half) => {
      const own = values.subarray(32 * half, 32 * (half + 1));
      const [low, high] = extremes(own);
      const scale = halfBelow(Math.max(-low, high) / reach);
      block.setUint16(2 * half, scale, true);
      return Array.from(own, (value, index) => {
        const code = within(value / fromHalf(scale), -reach - 1, reach);
        if (bits === 8) block.setInt8(4 + 32 * half + index, code);
        else putNibble(block, 4, 32 * half + index, code + 8);
        return fromHalf(scale) * code;
      });
    }).flat();
  };

/** 32 values with an f32 scale and an f32 minimum. */
const scaledMinima =
  (bits: 4 | 8): StoreBlock =>
  (values, block) => {
    const [low, high] = extremes(values);
    const lowest = bits === 8 ? -128 : 0;
    const scale = Math.fround((high - low) / (2 ** bits - 1));
    const minimum = Math.fround(low - lowest * scale);
    block.setFloat32(0, scale, true);
    block.setFloat32(4, minimum, true);
    return Array.from(values, (value, index) => {
      const code = within((value - minimum) / scale, lowest, lowest + 2 ** bits - 1);
      if (bits === 8) block.setInt8(8 + index, code);
      else putNibble(block, 8, index, code);
      return scale * code + minimum;
    });
  };

/** 256 values in eight groups: f16 factors of the groups' scales and minima, which are bytes. */
const q4kBlock: StoreBlock = (values, block) => {
  const groups = Array.from({ length: 8 }, (_, group) => values.subarray(32 * group, 32 * (group + 1)));
  const ranges = groups.map(extremes);
  const d = halfBelow(Math.max(...ranges.map(([low, high]) => (high - low) / 15)) / 200);
  const dmin = halfBelow(Math.max(...ranges.map(([low]) => Math.abs(low))) / 200);
  block.setUint16(0, d, true);
  block.setUint16(2, dmin, true);
  return groups.flatMap((own, group) => {
    const [low, high] = ranges[group]!;
    const scale = within((high - low) / 15 / fromHalf(d), 1, 255);
    const minimum = within(-low / fromHalf(dmin), 0, 255);
    block.setUint8(4 + 2 * group, scale);
    block.setUint8(5 + 2 * group, minimum);
    const offset = fromHalf(dmin) * minimum;
    return Array.from(own, (value, index) => {
      const code = within((value + offset) / (fromHalf(d) * scale), 0, 15);
      putNibble(block, 20, 32 * group + index, code);
      return fromHalf(d) * scale * code - offset;
    });
  });
};

/** 256 values in sixteen groups: an f32 factor, which is an f16, of the groups' scales, which are signed bytes. */
const q6kBlock: StoreBlock = (values, block) => {
  const d = fromHalf(halfBelow(Math.max(...values.map(Math.abs)) / 31 / 120));
  block.setFloat32(0, d, true);
  return Array.from({ length: 16 }, (_, group) => {
    const own = values.subarray(16 * group, 16 * (group + 1));
    const scale = within(Math.max(...own.map(Math.abs)) / 31 / d, 1, 127) * (group % 3 === 0 ? -1 : 1);
    block.setInt8(4 + group, scale);
    return Array.from(own, (value, index) => {
      const code = within(value / (d * scale), -32, 31);
      block.setInt8(20 + 16 * group + index, code);
      return d * scale * code;
    });
  }).flat();
};

/** 128 values with an f32 scale and a code of zero. */
const scaledZeros =
  (bits: 4 | 8): StoreBlock =>
  (values, block) => {
    const [low, high] = extremes(values);
    const lowest = bits === 8 ? -128 : 0;
    const scale = Math.fround((high - low) / (2 ** bits - 1));
    const zero = within(lowest - low / scale, lowest - 1, lowest + 2 ** bits);
    block.setFloat32(0, scale, true);
    block.setFloat32(4, zero, true);
    return Array.from(values, (value, index) => {
      const code = within(value / scale + zero, lowest, lowest + 2 ** bits - 1);
      if (bits === 8) block.setInt8(8 + index, code);
      else putNibble(block, 8, index, code);
      return scale * (code - zero);
    });
  };

/** 64 values with an f32 scale; a code is the place of the nearest value in a table of 16, or of an 8-bit float. */
const tabled =
  (bits: 4 | 8, table: readonly number[]): StoreBlock =>
  (values, block) => {
    const scale = Math.fround(
      Math.max(...values.map(Math.abs)) / Math.max(...table.filter((each) => !Number.isNaN(each))),
    );
    block.setFloat32(0, scale, true);
    return Array.from(values, (value, index) => {
      const wanted = value / scale;
      const code = table.reduce(
        (best, each, at) => (Math.abs(each - wanted) < Math.abs(table[best]! - wanted) ? at : best),
        0,
      );
      if (bits === 8) block.setUint8(4 + index, code);
      else putNibble(block, 4, index, code);
      return scale * table[code]!;
    });
  };

/** 64 values with a power of two for each half, and the nearest floats of 4 bits below them. */
const microscaled: StoreBlock = (values, block) =>
  [0, 1].flatMap((half) => {
    const own = values.subarray(32 * half, 32 * (half + 1));
    const exponent = Math.ceil(Math.log2(Math.max(...own.map(Math.abs), 2 ** -126) / 6));
    block.setUint8(half, exponent + 127);
    return Array.from(own, (value, index) => {
      const wanted = Math.abs(value) / 2 ** exponent;
      const code = microFloats.findLastIndex((each) => each <= wanted);
      putNibble(block, 4, 32 * half + index, code + (value < 0 ? 8 : 0));
      return Math.sign(value) * microFloats[code]! * 2 ** exponent;
    });
  });

/** E2M1: 0 and a half, then halves from 1 to 2, ones from 2 to 4, and 6. */
const microFloats = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

/** QLoRA's NormalFloat: 8 quantiles above 0, 7 below, and 0. */
const normalFloats = [
  ...[-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334],
  ...[-0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224],
  ...[0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1],
];

/** A sign and the values 0, 1/192, 2/3, 1, 1/3, 1/2, 1/6, 1/4. */
const smallFloats = [1, -1].flatMap((sign) =>
  [0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4].map((value) => sign * Math.fround(value)),
);

/** E4M3 without NaN, by counting up: eight steps of each size, from 2^-9 on, twice as long from the second eight on. */
const eightBitFloats = [1, -1].flatMap((sign) => {
  const values = [0];
  for (let code = 1; code < 127; code++) values.push(values.at(-1)! + 2 ** (Math.max(1, (code - 1) >> 3) - 10));
  return [...values.map((value) => sign * value), Number.NaN];
});

const blockStorages: Readonly<Record<BlockStorage, { elements: number; bytes: number; storeBlock: StoreBlock }>> = {
  q8: { elements: 64, bytes: 68, storeBlock: halfScales(8) },
  q4: { elements: 64, bytes: 36, storeBlock: halfScales(4) },
  q8m: { elements: 32, bytes: 40, storeBlock: scaledMinima(8) },
  q4m: { elements: 32, bytes: 24, storeBlock: scaledMinima(4) },
  q4k: { elements: 256, bytes: 148, storeBlock: q4kBlock },
  q6k: { elements: 256, bytes: 276, storeBlock: q6kBlock },
  q8z: { elements: 128, bytes: 136, storeBlock: scaledZeros(8) },
  q4z: { elements: 128, bytes: 72, storeBlock: scaledZeros(4) },
  nf4: { elements: 64, bytes: 36, storeBlock: tabled(4, normalFloats) },
  fp4: { elements: 64, bytes: 36, storeBlock: tabled(4, smallFloats) },
  mxfp4: { elements: 64, bytes: 36, storeBlock: microscaled },
  fp8: { elements: 64, bytes: 68, storeBlock: tabled(8, eightBitFloats) },
};

function storeBlocks(source: Float32Array, storage: BlockStorage): Pick<StoredMatrix, 'bits' | 'values'> {
  const { elements, bytes, storeBlock } = blockStorages[storage];
  const bits = new Uint8Array((source.length / elements) * bytes);
  const values = new Float32Array(source.length);
  for (let block = 0; block < source.length / elements; block++) {
    const view = new DataView(bits.buffer, block * bytes, bytes);
    values.set(storeBlock(source.subarray(block * elements, (block + 1) * elements), view), block * elements);
  }
  return { bits, values };
}
