/**
 * Matrices of whole numbers with scales: which storage type holds them, and how they get there.
 *
 * @module
 */

import { f32ToBytes } from '../safetensors/convert.ts';
import { layOutQ4m } from '../weights/q4m.ts';
import { layOutQ4z } from '../weights/q4z.ts';
import { layOutQ8m } from '../weights/q8m.ts';
import { layOutQ8z } from '../weights/q8z.ts';
import { scaledMinimaElements } from '../weights/scaled-minima.ts';
import { scaledZerosElements } from '../weights/scaled-zeros.ts';
import type { QuantizedMatrix, ScaleType } from './matrix.ts';

/** Rows of a matrix: value = scale · (code − zero). */
export interface IntegerRows {
  /** From 0 to 15 in 4 bits, from −128 to 127 in 8. */
  codes: Int8Array;
  /** For each row one for each group. */
  scales: Float32Array;
  /** Whole numbers; for each row one for each group, or one for all. */
  zeros: Float32Array | number;
}

/** A matrix of whole numbers. */
export interface IntegerMatrix {
  shape: readonly [rows: number, columns: number];
  parts: readonly string[];
  bits: 4 | 8;
  /** Columns that share a scale and a zero. */
  groupSize: number;
  scaleType: ScaleType;
  /** Whether all zeros are 0. */
  centred?: boolean;
  /** The group of each column, where columns of a group do not lie beside each other. */
  groupOf?: ArrayLike<number>;
  read(start: number, end: number): Promise<IntegerRows>;
}

/**
 * The matrix in the smallest storage type that holds its values exactly:
 * - groups of 128·n: `q4z`, `q8z`;
 * - groups of 32·n and scales of 16 bits, or zeros of 0: `q4m`, `q8m`, whose minimum −scale · zero is exact then;
 * - groups of 32·n and differences code − zero of 8 bits: `q8m` without a minimum.
 *
 * Any other is widened to the type of its scales.
 */
export function integerMatrix(matrix: IntegerMatrix): QuantizedMatrix {
  const { shape, parts } = matrix;
  const { dtype, pack } = layoutOf(matrix);
  return { shape, dtype, parts, rows: async (start, end) => pack(await matrix.read(start, end), matrix) };
}

interface IntegerLayout {
  dtype: string;
  pack(rows: IntegerRows, matrix: IntegerMatrix): Uint8Array<ArrayBuffer>;
}

function layoutOf({ shape: [, columns], bits, groupSize, scaleType, centred, groupOf }: IntegerMatrix): IntegerLayout {
  const fits = (block: number): boolean => columns % block === 0 && (groupSize % block === 0 || groupSize >= columns);
  if (!groupOf && fits(scaledZerosElements)) {
    return {
      dtype: bits === 4 ? 'q4z' : 'q8z',
      pack: (rows, matrix) => {
        const blocks = blocksOf(rows, matrix, scaledZerosElements);
        return bits === 4 ? layOutQ4z(blocks) : layOutQ8z(blocks);
      },
    };
  }
  if (!groupOf && fits(scaledMinimaElements)) {
    if (scaleType !== 'F32' || centred) return { dtype: bits === 4 ? 'q4m' : 'q8m', pack: packMinima };
    if (bits === 4) return { dtype: 'q8m', pack: packDifferences };
  }
  return { dtype: scaleType, pack: widen };
}

/** Scales and zeros for each block of so many elements. */
function blocksOf(
  { codes, scales, zeros }: IntegerRows,
  { shape: [, columns], groupSize }: IntegerMatrix,
  block: number,
) {
  const perRow = columns / block;
  const groups = Math.ceil(columns / groupSize);
  const count = codes.length / block;
  const expanded = { codes, scales: new Float32Array(count), zeros: new Float32Array(count) };
  for (let index = 0; index < count; index++) {
    const group = Math.floor(index / perRow) * groups + Math.floor(((index % perRow) * block) / groupSize);
    expanded.scales[index] = scales[group]!;
    expanded.zeros[index] = typeof zeros === 'number' ? zeros : zeros[group]!;
  }
  return expanded;
}

function packMinima(rows: IntegerRows, matrix: IntegerMatrix): Uint8Array<ArrayBuffer> {
  const { codes, scales, zeros } = blocksOf(rows, matrix, scaledMinimaElements);
  const minima = zeros.map((zero, index) => -scales[index]! * zero);
  const layOut = matrix.bits === 4 ? layOutQ4m : layOutQ8m;
  return layOut({ codes, width: scaledMinimaElements, scales, minima });
}

function packDifferences(rows: IntegerRows, matrix: IntegerMatrix): Uint8Array<ArrayBuffer> {
  const { codes, scales, zeros } = blocksOf(rows, matrix, scaledMinimaElements);
  const differences = codes.map((code, index) => code - zeros[Math.floor(index / scaledMinimaElements)]!);
  return layOutQ8m({ codes: differences, width: scaledMinimaElements, scales });
}

function widen({ codes, scales, zeros }: IntegerRows, matrix: IntegerMatrix): Uint8Array<ArrayBuffer> {
  const { shape, groupSize, groupOf, scaleType } = matrix;
  const [, columns] = shape;
  const groups = Math.ceil(columns / groupSize);
  const values = new Float32Array(codes.length);
  for (let index = 0; index < codes.length; index++) {
    const column = index % columns;
    const group = ((index - column) / columns) * groups + (groupOf?.[column] ?? Math.floor(column / groupSize));
    values[index] = scales[group]! * (codes[index]! - (typeof zeros === 'number' ? zeros : zeros[group]!));
  }
  return f32ToBytes(scaleType, values) as Uint8Array<ArrayBuffer>;
}
