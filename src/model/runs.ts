/**
 * The runs of rows of a pass: tokens of one sequence, one after the other, for layers that carry a state from token to
 * token.
 *
 * @module
 */

import type { Runs } from '../ops/runs.ts';
import type { NamedBuffers } from '../tensor/named-buffers.ts';
import type { PackedBatch } from './batch.ts';

/** Rows of one sequence. */
export interface RowRun {
  start: number;
  end: number;
  /** Rows of the tokens before them, which belong to another run: a prompt that several options share. */
  before?: { start: number; end: number };
  /** The number of the sequence's state in the cache. */
  state?: number;
  /** The number of the state that the earlier tokens left, if there are such: its own, or that of a shared start. */
  from?: number;
}

/**
 * The runs of a packed batch. The first option of an example goes on where its prompt ends; the others walk over the
 * prompt once more, by themselves and at the same time.
 */
export function runsOf({ ranges }: Pick<PackedBatch, 'ranges'>): RowRun[] {
  const runs: RowRun[] = [];
  for (let row = 0; row < ranges.length / 4; row++) {
    const [start, end, first] = ranges.subarray(4 * row, 4 * row + 3) as unknown as [number, number, number];
    const last = runs.at(-1);
    const follows = last !== undefined && !last.before && last.start === start && last.end === end && end === row;
    if (last !== undefined && (first < row || follows)) last.end = row + 1;
    else runs.push({ start: row, end: row + 1, ...(end > start ? { before: { start, end } } : {}) });
  }
  return runs;
}

const [tableName, rowsName] = ['runs', 'runs of rows'];

/** u32 of a run. */
const runLength = 6;

/** Runs that cover all rows, as kernels read them. */
export function packRuns(
  runs: readonly RowRun[],
  rows: number,
): { table: Uint32Array<ArrayBuffer>; ofRows: Uint32Array<ArrayBuffer> } {
  const ofRows = new Uint32Array(rows);
  const table = runs.flatMap(({ start, end, before, state = 0, from }, index) => {
    ofRows.fill(index, start, end);
    return [before?.start ?? 0, before?.end ?? 0, start, end, state, from === undefined ? 0 : from + 1];
  });
  return { table: new Uint32Array(table), ofRows };
}

/** Uploads runs that cover all rows. */
export function uploadRuns(runs: readonly RowRun[], rows: number, buffers: NamedBuffers): Runs {
  const { table, ofRows } = packRuns(runs, rows);
  return { table: buffers.upload(tableName, table), ofRows: buffers.upload(rowsName, ofRows), count: runs.length };
}

/** The buffers that {@link uploadRuns} needs at most, as names and bytes. */
export function runsBytes(rows: number): [string, number][] {
  return [
    [tableName, rows * runLength * 4],
    [rowsName, rows * 4],
  ];
}
