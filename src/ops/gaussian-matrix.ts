/**
 * Gaussian matrices from counters (random/philox.ts), drawn where they are used.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { perElement } from '../gpu/workgroups.ts';
import type { StridedMatrix } from './orthonormal.ts';

/** Which numbers a matrix is drawn from. */
export interface GaussianIdentity {
  seed: readonly [low: number, high: number];
  tensor: number;
  period: number;
  /** One of `purposes`. */
  purpose: number;
}

/** Records a matrix of independent standard normal numbers. */
export function recordGaussianMatrix(
  gpu: Gpu,
  { buffer, rows, columns, rowStride, columnStride, start }: StridedMatrix,
  { seed, tensor, period, purpose }: GaussianIdentity,
): void {
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['random/philox.wgsl', 'random/gaussian-matrix.wgsl'] }),
    [buffer],
    {
      seed_low: seed[0],
      seed_high: seed[1],
      tensor,
      period,
      purpose,
      rows,
      columns,
      row_stride: rowStride,
      column_stride: columnStride,
      matrix_start: start,
    },
    perElement(Math.ceil((rows * columns) / 4)),
  );
}
