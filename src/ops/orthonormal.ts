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

/**
 * Records the orthonormalisation of a matrix in place. Tall matrices take Cholesky QR twice (the second pass removes
 * the rounding of the first); near-square and small ones take Gram–Schmidt with repeated projection, which has no
 * condition to fear. The choice depends on the shape alone, so a replay makes the same bits.
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
  if (rows < tall * columns || rows * columns < small) {
    recorder.dispatch(gpu.kernel({ files: ['zo/orthonormalise.wgsl'] }), [buffer], shape, [1]);
    return;
  }
  const chunkRows = Math.max(leastChunkRows, Math.ceil(rows / mostChunks));
  const chunks = Math.ceil(rows / chunkRows);
  const square = columns * columns;
  const partial = scratch.ensure('partial Gram matrices', chunks * square * 4);
  const work = scratch.ensure('Cholesky factor and inverse', 2 * square * 4);
  for (let pass = 0; pass < 2; pass++) {
    recorder.dispatch(
      gpu.kernel({ files: ['zo/gram.wgsl'] }),
      [buffer, partial],
      { ...shape, chunk_rows: chunkRows, chunks },
      perElement(chunks * square),
    );
    recorder.dispatch(gpu.kernel({ files: ['zo/cholesky-inverse.wgsl'] }), [partial, work], { columns, chunks }, [1]);
    recorder.dispatch(gpu.kernel({ files: ['zo/multiply-inverse.wgsl'] }), [work, buffer], shape, spread(rows));
  }
}
