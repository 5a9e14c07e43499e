/**
 * bitsandbytes: 4 bits (NF4 and FP4), where `weight` holds all codes of a matrix behind each other, and 8 bits, where
 * `weight` is I8 and `SCB` has the largest magnitude of each row.
 *
 * @see bitsandbytes/functional.py, `QuantState`, `dequantize_4bit`, `int8_vectorwise_dequant`
 * @module
 */

import { bytesToF32, f32ToBytes } from '../safetensors/convert.ts';
import { fp4Table } from '../weights/fp4.ts';
import { nf4Table } from '../weights/nf4.ts';
import { layOutTable, tableElements } from '../weights/tables.ts';
import type { Fields } from './fields.ts';
import { integerMatrix } from './integers.ts';
import type { QuantizedFormat, QuantizedMatrix, ScaleType } from './matrix.ts';
import type { Parts } from './parts.ts';

/** Keys about how it computes, and which modules were quantised, which the tensors tell. */
const silent = [
  ...['quant_method', '_load_in_4bit', '_load_in_8bit', 'bnb_4bit_compute_dtype', 'bnb_4bit_quant_type'],
  ...['bnb_4bit_use_double_quant', 'llm_int8_skip_modules', 'llm_int8_threshold', 'llm_int8_enable_fp32_cpu_offload'],
];

/** Reads the settings. */
export function bitsandbytesFormat(fields: Fields): QuantizedFormat {
  const [four, eight] = [fields.flag('load_in_4bit', false), fields.flag('load_in_8bit', false)];
  if (four === eight)
    throw fields.error('invalid_data', 'load_in_4bit', 'must be the contrary of "load_in_8bit"', four);
  fields.choice('bnb_4bit_quant_storage', 'uint8');
  fields.choice('llm_int8_has_fp16_weight', false);
  fields.finish(...silent);
  return {
    description: `bitsandbytes, ${four ? 4 : 8} bits`,
    notes: [],
    matrices: four ? readAll4Bit : async (parts) => readAll8Bit(parts),
  };
}

const kinds = ['nf4', 'fp4'] as const;
const tables = { nf4: nf4Table, fp4: fp4Table };
const stateName = (module: string, kind: string): string => `${module}.weight.quant_state.bitsandbytes__${kind}`;

async function readAll4Bit(parts: Parts): Promise<Map<string, QuantizedMatrix>> {
  const matrices = new Map<string, QuantizedMatrix>();
  for (const kind of kinds) {
    for (const module of parts.modulesWith(`weight.quant_state.bitsandbytes__${kind}`)) {
      matrices.set(`${module}.weight`, await read4Bit(parts, module, kind));
    }
  }
  return matrices;
}

/** The largest description of a matrix; real ones have some 200 bytes. */
const maxStateBytes = 16 * 1024;

/** What bitsandbytes writes as JSON beside the tensors. */
interface QuantState {
  shape: readonly [number, number];
  blockSize: number;
  type: ScaleType;
  nested?: { blockSize: number; offset: number };
}

const floatTypes: Readonly<Record<string, ScaleType>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

async function readState(parts: Parts, module: string, kind: (typeof kinds)[number]): Promise<QuantState> {
  const name = stateName(module, kind);
  const { byteLength } = parts.expect(name, ['U8'], 1);
  if (byteLength > maxStateBytes) throw parts.error(name, `expected at most ${maxStateBytes} bytes, got ${byteLength}`);
  let state: Record<string, unknown>;
  try {
    state = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await parts.read(name)));
  } catch {
    throw parts.error(name, 'expected JSON');
  }
  const wrong = (key: string, rule: string): Error =>
    parts.error(name, `expected "${key}" to be ${rule}, got ${JSON.stringify(state?.[key])?.slice(0, 80)}`);
  if (state?.quant_type !== kind) throw wrong('quant_type', `"${kind}"`);
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
  const { shape, blocksize, dtype } = state;
  if (!Array.isArray(shape) || shape.length !== 2 || !shape.every(isCount)) throw wrong('shape', 'two sizes');
  if (!isCount(blocksize)) throw wrong('blocksize', 'a whole number from 1 on');
  const type = typeof dtype === 'string' && Object.hasOwn(floatTypes, dtype) ? floatTypes[dtype] : undefined;
  if (!type) throw wrong('dtype', Object.keys(floatTypes).join(' or '));
  const own = { shape: shape as [number, number], blockSize: blocksize, type };
  if (!parts.has(`${module}.weight.nested_absmax`)) return own;
  const { nested_blocksize: nestedSize, nested_offset: offset } = state;
  if (!isCount(nestedSize)) throw wrong('nested_blocksize', 'a whole number from 1 on');
  if (typeof offset !== 'number') throw wrong('nested_offset', 'a number');
  return { ...own, nested: { blockSize: nestedSize, offset: Math.fround(offset) } };
}

async function read4Bit(parts: Parts, module: string, kind: (typeof kinds)[number]): Promise<QuantizedMatrix> {
  const state = await readState(parts, module, kind);
  const { shape, blockSize, type, nested } = state;
  const [rows, columns] = shape;
  const elements = rows * columns;
  const weight = `${module}.weight`;
  const rule = `two codes a byte of a matrix [${rows}, ${columns}]`;
  const bytes = parts.expect(weight, ['U8']).byteLength;
  if (bytes !== Math.ceil(elements / 2)) {
    throw parts.error(weight, `expected ${Math.ceil(elements / 2)} bytes (${rule}), got ${bytes}`);
  }
  const [absmax, map] = [`${weight}.absmax`, `${weight}.quant_map`];
  const blocks = Math.ceil(elements / blockSize);
  parts.expectShape(absmax, [nested ? 'U8' : 'F32'], [blocks], `one for ${blockSize} elements`);
  parts.expectShape(map, ['F32'], [16], 'a value for each code');
  const table = tables[kind];
  const stored = bytesToF32('F32', await parts.read(map));
  if (!stored.every((value, code) => value === Math.fround(table[code]!))) {
    throw parts.error(map, `expected the table of ${kind}, got other values`, 'unsupported');
  }
  const nestedParts = nested ? [`${weight}.nested_absmax`, `${weight}.nested_quant_map`] : [];
  if (nested) {
    const count = Math.ceil(blocks / nested.blockSize);
    parts.expectShape(nestedParts[0]!, ['F32'], [count], `one for ${nested.blockSize} scales`);
    parts.expectShape(nestedParts[1]!, ['F32'], [256], 'a value for each code');
  }
  const fits = columns % tableElements === 0 && blockSize % tableElements === 0;
  const scalesOf = (first: number, last: number): Promise<Float32Array> =>
    readScales(parts, weight, state, first, last);
  return {
    shape,
    dtype: fits ? kind : type,
    parts: [weight, absmax, map, ...nestedParts, stateName(module, kind)],
    rows: async (start, end) => {
      const [first, last] = [start * columns, end * columns];
      const firstBlock = Math.floor(first / blockSize);
      const scales = await scalesOf(firstBlock, Math.ceil(last / blockSize));
      const scaleOf = (element: number): number => scales[Math.floor(element / blockSize) - firstBlock]!;
      const firstByte = Math.floor(first / 2);
      const codes = await parts.read(weight, firstByte, Math.ceil(last / 2) - firstByte);
      if (fits) {
        const count = { length: (last - first) / tableElements };
        return layOutTable({
          // The first of two codes is in the high half.
          codes: codes.map((byte) => (byte >> 4) | ((byte & 15) << 4)),
          scales: Float32Array.from(count, (_, block) => scaleOf(first + block * tableElements)),
        });
      }
      const values = Float32Array.from({ length: last - first }, (_, index) => {
        const element = first + index;
        const byte = codes[Math.floor(element / 2) - firstByte]!;
        return scaleOf(element) * Math.fround(table[element % 2 === 0 ? byte >> 4 : byte & 15]!);
      });
      return f32ToBytes(type, values) as Uint8Array<ArrayBuffer>;
    },
  };
}

/** The scales of some blocks: as they are, or codes with a table and scales of their own and an offset. */
async function readScales(
  parts: Parts,
  weight: string,
  { nested }: QuantState,
  first: number,
  last: number,
): Promise<Float32Array> {
  const absmax = `${weight}.absmax`;
  if (!nested) return bytesToF32('F32', await parts.read(absmax, first * 4, (last - first) * 4));
  const codes = await parts.read(absmax, first, last - first);
  const scales = bytesToF32('F32', await parts.whole(weight, `${weight}.nested_absmax`));
  const table = bytesToF32('F32', await parts.whole(weight, `${weight}.nested_quant_map`));
  // The library rounds the product and the sum.
  return Float32Array.from(codes, (code, index) => {
    return Math.fround(table[code]! * scales[Math.floor((first + index) / nested.blockSize)]!) + nested.offset;
  });
}

function readAll8Bit(parts: Parts): Map<string, QuantizedMatrix> {
  return new Map(parts.modulesWith('SCB').map((module) => [`${module}.weight`, read8Bit(parts, module)]));
}

function read8Bit(parts: Parts, module: string): QuantizedMatrix {
  const [weight, scales] = [`${module}.weight`, `${module}.SCB`];
  const [rows, columns] = parts.expect(weight, ['I8'], 2).shape as [number, number];
  parts.expectShape(scales, ['F32'], [rows], 'one for each row');
  return integerMatrix({
    shape: [rows, columns],
    parts: [weight, scales, ...parts.present(`${module}.weight_format`)],
    bits: 8,
    groupSize: columns,
    scaleType: 'F32',
    centred: true,
    read: async (start, end) => {
      if (parts.has(`${module}.weight_format`)) await refuseOtherOrder(parts, `${module}.weight_format`);
      const bytes = await parts.read(weight, start * columns, (end - start) * columns);
      const largest = bytesToF32('F32', await parts.read(scales, start * 4, (end - start) * 4));
      return { codes: new Int8Array(bytes.buffer), scales: largest.map((value) => value / 127), zeros: 0 };
    },
  });
}

/** Codes in the order of a matrix unit have another number than 0 here; bitsandbytes wrote them once. */
async function refuseOtherOrder(parts: Parts, name: string): Promise<void> {
  const bytes = await parts.read(name);
  if (bytes.length !== 1 || bytes[0] !== 0) {
    throw parts.error(name, `expected 0, codes in the order of rows, got ${bytes[0]}`, 'unsupported');
  }
}
