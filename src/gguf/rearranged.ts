/**
 * Tensors whose rows or columns a file has in another order than transformers, or in several tensors.
 *
 * @module
 */

import { dtypeBytes, isSafetensorsDtype } from '../safetensors/dtype.ts';
import { type BlockFormat, blockFormat } from '../weights/block-formats.ts';
import { codecs, fitsRows, rowBytes } from '../weights/index.ts';
import type { ReadRange } from './ranges.ts';

/** Rows or columns that lie one behind the other in transformers as in the file. */
export interface Run {
  /** The first of them in the file's tensor. */
  from: number;
  count: number;
  /** Which tensor of the file; the first by default. */
  which?: number;
}

/** One parameter of a layer. */
export interface Rearranged {
  /** What follows `model.layers.N.`, with its suffix. */
  parameter: string;
  /** What follows `blk.N.` of the tensors that it is made of, with their suffixes. */
  tensors: readonly [string, ...string[]];
  along: 'rows' | 'columns';
  /** In the order of transformers; they cover the parameter. */
  runs: readonly Run[];
}

/** Whether runs change nothing. */
export function isInOrder(runs: readonly Run[]): boolean {
  let next = 0;
  return runs.every(({ from, count, which = 0 }) => {
    next += count;
    return which === 0 && from === next - count;
  });
}

/** Where each run begins in transformers, with what lies there. */
function placed(runs: readonly Run[]): (Required<Run> & { at: number })[] {
  let next = 0;
  return runs.map(({ from, count, which = 0 }) => {
    next += count;
    return { from, count, which, at: next - count };
  });
}

/** Rows in the order of transformers. @param reads the tensors of the file @param width bytes of a row */
export function rowsInRuns(reads: readonly ReadRange[], width: number, runs: readonly Run[]): ReadRange {
  const places = placed(runs);
  return async (byteOffset, byteLength) => {
    const first = Math.floor(byteOffset / width);
    const end = Math.ceil((byteOffset + byteLength) / width);
    const rows = new Uint8Array((end - first) * width);
    for (const { from, count, which, at } of places) {
      const [start, stop] = [Math.max(at, first), Math.min(at + count, end)];
      if (start >= stop) continue;
      rows.set(await reads[which]!((from + start - at) * width, (stop - start) * width), (start - first) * width);
    }
    const start = byteOffset - first * width;
    return rows.slice(start, start + byteLength);
  };
}

/**
 * Columns in the order of transformers. Where runs are no whole blocks of the file's type, the result is in a type of
 * smaller blocks that holds the same values, or in f32.
 */
export function columnsInRuns(
  read: ReadRange,
  { dtype, rows, columns }: { dtype: string; rows: number; columns: number },
  runs: readonly Run[],
): { dtype: string; byteLength: number; range: ReadRange } {
  const format = blockFormat(dtype);
  const fits = (elements: number): boolean =>
    runs.every(({ from, count }) => from % elements === 0 && count % elements === 0);
  const { dtype: type, elements, bytes, convert } = unitOf(dtype, format, fits, columns);
  const width = (columns / (format?.elements ?? 1)) * (format?.bytes ?? bytes);
  const wanted = (columns / elements) * bytes;
  const places = placed(runs);
  const range: ReadRange = async (byteOffset, byteLength) => {
    const first = Math.floor(byteOffset / wanted);
    const end = Math.ceil((byteOffset + byteLength) / wanted);
    const stored = convert(await read(first * width, (end - first) * width));
    const result = new Uint8Array(stored.byteLength);
    for (let row = 0; row < end - first; row++) {
      for (const { from, count, at } of places) {
        const start = row * wanted + (from / elements) * bytes;
        result.set(stored.subarray(start, start + (count / elements) * bytes), row * wanted + (at / elements) * bytes);
      }
    }
    const start = byteOffset - first * wanted;
    return result.slice(start, start + byteLength);
  };
  return { dtype: type, byteLength: rows * wanted, range };
}

interface Unit {
  dtype: string;
  elements: number;
  bytes: number;
  convert: (rows: Uint8Array<ArrayBuffer>) => Uint8Array;
}

/** The type in which runs are whole blocks, and how rows come into it. */
function unitOf(
  dtype: string,
  format: BlockFormat | undefined,
  fits: (elements: number) => boolean,
  columns: number,
): Unit {
  if (!format) {
    const bytes = isSafetensorsDtype(dtype) ? dtypeBytes[dtype] : 0;
    return { dtype, elements: 1, bytes, convert: (rows) => rows };
  }
  if (fits(format.elements)) return { dtype, ...format, convert: (rows) => rows };
  const smaller = format.smaller ?? format;
  const { elements } = codecs[smaller.layout].block;
  if (fits(elements) && fitsRows(smaller.layout, columns)) {
    const bytes = rowBytes(smaller.layout, elements);
    return { dtype: smaller.layout, elements, bytes, convert: (rows) => smaller.toLayout(rows) };
  }
  const convert = (rows: Uint8Array): Uint8Array => new Uint8Array(format.toF32(rows).buffer);
  return { dtype: 'F32', elements: 1, bytes: 4, convert };
}

/** Rows of a file's tensor from those of a parameter. @param which of the tensors @param width bytes of a row */
export function rowsForFile(bytes: Uint8Array, width: number, runs: readonly Run[], which: number): Uint8Array {
  const own = placed(runs).filter((run) => run.which === which);
  const result = new Uint8Array(own.reduce((sum, { count }) => sum + count, 0) * width);
  for (const { from, count, at } of own) result.set(bytes.subarray(at * width, (at + count) * width), from * width);
  return result;
}

/** Whole rows with their columns as the file has them. */
export function columnsForFile(values: Float32Array, columns: number, runs: readonly Run[]): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < values.length; row += columns) {
    for (const { from, count, at } of placed(runs)) {
      result.set(values.subarray(row + at, row + at + count), row + from);
    }
  }
  return result;
}
