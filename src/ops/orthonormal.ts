/**
 * Thin QR on the GPU: the columns of a tall matrix become orthonormal, with the positive diagonal of R.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { perElement, spread } from '../gpu/workgroups.ts';
import type { NamedBuffers } from '../tensor/named-buffers.ts';

/** Where the element (i, j) of a rows × columns matrix lies: start + i · rowStride + j · columnStride. */
export interface StridedMatrix {
  buffer: GpuBuffer;
  rows: number;
  /** At most 256 and at most `rows`. */
  columns: number;
  rowStride: number;
  columnStride: number;
  start: number;
}

type MatrixSize = Pick<StridedMatrix, 'rows' | 'columns'>;

/**
 * Rows per column from which Cholesky QR is safe for a Gaussian matrix: its condition number is then about
 * (√4 + 1)/(√4 − 1) = 3, of which the Gram matrix in f32 only sees the square.
 */
const tall = 4;

/** Elements below which one workgroup of Gram–Schmidt is quicker than six launches. */
const small = 16_384;

/** Partial Gram matrices at most, and rows in each at least. */
const mostChunks = 64;
const leastChunkRows = 256;

/** Rows of a partial Gram matrix, and how many there are; undefined for shapes that take Gram–Schmidt. */
function chunksOf({ rows, columns }: MatrixSize): { chunkRows: number; chunks: number } | undefined {
  if (rows < tall * columns || rows * columns < small) return undefined;
  const chunkRows = Math.max(leastChunkRows, Math.ceil(rows / mostChunks));
  return { chunkRows, chunks: Math.ceil(rows / chunkRows) };
}

/** Memory for a matrix, which is in `scratch` from then on. */
function workOf(
  { columns }: MatrixSize,
  chunks: number,
  scratch: NamedBuffers,
): { partial: GpuBuffer; work: GpuBuffer } {
  const square = columns * columns;
  return {
    partial: scratch.ensure('partial Gram matrices', chunks * square * 4),
    work: scratch.ensure('Cholesky factor and inverse', 2 * square * 4),
  };
}

/** Reserves memory for all of some matrices: what is recorded for one of them must not be lost to a larger one. */
export function reserveOrthonormal(matrices: readonly MatrixSize[], scratch: NamedBuffers): void {
  for (const matrix of matrices) {
    const chunked = chunksOf(matrix);
    if (chunked) workOf(matrix, chunked.chunks, scratch);
  }
}

/**
 * Records the orthonormalisation of a matrix in place. Tall matrices take Cholesky QR twice (the second pass removes
 * the rounding of the first); near-square and small ones take Gram–Schmidt with repeated projection, which has no
 * condition to fear. The choice depends on the shape alone, so a replay makes the same bits.
 *
 * @param scratch where {@link reserveOrthonormal} has made room, if several matrices are recorded before a submission
 */
export function orthonormalise(gpu: Gpu, matrix: StridedMatrix, scratch: NamedBuffers): void {
  const { recorder } = gpu;
  const { buffer, rows, columns } = matrix;
  const shape = {
    rows,
    columns,
    row_stride: matrix.rowStride,
    column_stride: matrix.columnStride,
    matrix_start: matrix.start,
  };
  const chunked = chunksOf(matrix);
  if (!chunked) {
    recorder.dispatch(gpu.kernel({ files: ['zo/orthonormalise.wgsl'] }), [buffer], shape, [1]);
    return;
  }
  const { chunkRows, chunks } = chunked;
  const { partial, work } = workOf(matrix, chunks, scratch);
  for (let pass = 0; pass < 2; pass++) {
    recorder.dispatch(
      gpu.kernel({ files: ['zo/gram.wgsl'] }),
      [buffer, partial],
      { ...shape, chunk_rows: chunkRows, chunks },
      perElement(chunks * columns * columns),
    );
    recorder.dispatch(gpu.kernel({ files: ['zo/cholesky-inverse.wgsl'] }), [partial, work], { columns, chunks }, [1]);
    recorder.dispatch(gpu.kernel({ files: ['zo/multiply-inverse.wgsl'] }), [work, buffer], shape, spread(rows));
  }
}
