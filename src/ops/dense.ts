/**
 * Dense noise on 2-D weights without ever writing it into them: a bounded number of rows of W + scale · direction is
 * made in a scratch buffer, used by the rows that belong to the probe, and overwritten by the next.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { layoutOf, partOf, type Weight } from '../tensor/weight.ts';
import { codecFile, type Storage } from '../weights/index.ts';
import { type DenseNoise, directionNumber, type ProbePoint } from './probes.ts';

/** Most copies of a row that the scratch buffer holds: the +ε and −ε of one query share their noise. */
export const scratchCopies = 2;

/** Kernels that draw the noise of a stored weight. @param files of the kernel, the one with `main` last */
export function noisyKernel(
  { storage, layout }: Pick<Weight, 'storage' | 'layout'>,
  files: readonly string[],
  constants: KernelDefinition['constants'] = {},
): KernelDefinition {
  const noise = layout ? 'random/padded-quads.wgsl' : 'random/quads.wgsl';
  return { files: [codecFile(storage), 'random/philox.wgsl', noise, ...files], constants };
}

/** The parameters of these kernels that say how a weight is padded; see kernels/random/padded-quads.wgsl. */
export function padParameters(weight: Weight): Record<string, number> {
  const { rows, columns } = layoutOf(weight);
  return {
    row_width: rows.width,
    row_stride: rows.stride,
    column_width: columns.width,
    column_stride: columns.stride,
  };
}

/**
 * Consecutive rows of a weight within one buffer each of the weight and of what lies beside it, its curvature or
 * moments.
 */
export interface RowSlice {
  /** First row, counted over the whole weight. */
  row: number;
  count: number;
  weight: GpuBuffer;
  /** The row in that buffer. */
  weightRow: number;
  beside: GpuBuffer | undefined;
  besideRow: number;
}

/**
 * Cuts rows of a weight where a buffer ends, and into pieces of at most `most` rows.
 * @param companion of the same shape, f32, its parts perhaps cut elsewhere
 */
export function* rowSlices(
  weight: Weight,
  companion: Weight | undefined,
  { start = 0, end = weight.rows, most = weight.rows }: { start?: number; end?: number; most?: number } = {},
): Generator<RowSlice> {
  for (let row = start; row < end; ) {
    const part = partOf(weight, row);
    const beside = companion ? partOf(companion, row) : undefined;
    const partEnd = part.rowStart + part.rowCount;
    const stop = Math.min(end, row + most, partEnd, beside ? beside.rowStart + beside.rowCount : partEnd);
    yield {
      row,
      count: stop - row,
      weight: part.buffer,
      weightRow: row - part.rowStart,
      beside: beside?.buffer,
      besideRow: beside ? row - beside.rowStart : 0,
    };
    row = stop;
  }
}

/** Probes that share their noise: the two sides of a query. */
function* sharedNoise(points: readonly ProbePoint[]): Generator<{ first: number; points: readonly ProbePoint[] }> {
  for (let first = 0; first < points.length; ) {
    const [one, other] = [points[first]!, points[first + 1]];
    const pair = one.scale !== 0 && other !== undefined && other.scale !== 0 && other.query === one.query;
    const count = pair ? scratchCopies : 1;
    yield { first, points: points.slice(first, first + count) };
    first += count;
  }
}

/** The part of a matrix product that goes over some rows of one probe's weight. */
export interface PerturbedPiece {
  storage: Storage;
  weight: { buffer: GpuBuffer };
  weightRow: number;
  outputRow: number;
  columns: number;
  columnStart: number;
  rowStart: number;
  rows: number;
}

/**
 * Records, piece by piece, the rows of a weight as each probe sees them. Each piece must be used before the next is
 * asked for.
 *
 * All probes go through f32 copies, the unperturbed one of one-sided differences too, so that their losses differ by
 * the perturbation only and not by another kernel's rounding.
 *
 * @param launch the rows of the weight (from `outputRow` on, `columns` of them) and where their products go
 */
export function* perturbedWeight(
  gpu: Gpu,
  dense: DenseNoise,
  weight: Weight,
  launch: { outputRow: number; columns: number; columnStart: number; rowsPerProbe: number },
): Generator<PerturbedPiece> {
  const { kind, seed, step, scratch } = dense;
  const tensor = dense.tensors.get(weight.name)!;
  const kernel = gpu.kernel(
    noisyKernel(weight, ['zo/direction.wgsl', 'zo/dense-weight.wgsl'], { DIRECTION: directionNumber[kind] }),
  );
  const fitting = Math.floor(scratch.size / (scratchCopies * weight.columns * 4));
  // Whole blocks of four rows, as the matrix products take them.
  const most = fitting >= 4 ? Math.floor(fitting / 4) * 4 : fitting;
  const { outputRow, columns, columnStart, rowsPerProbe } = launch;
  for (const slice of rowSlices(weight, tensor.logCurvature, { start: outputRow, end: outputRow + columns, most })) {
    const place = {
      outputRow: slice.row,
      columns: slice.count,
      columnStart: columnStart + slice.row - outputRow,
      rows: rowsPerProbe,
    };
    for (const { first, points } of sharedNoise(dense.points)) {
      if (points[0]!.scale === 0 && weight.storage === 'f32') {
        const source = { weight: { buffer: slice.weight }, weightRow: slice.weightRow };
        yield { storage: 'f32', ...source, ...place, rowStart: first * rowsPerProbe };
        continue;
      }
      gpu.recorder.dispatch(
        kernel,
        [slice.weight, slice.beside ?? gpu.unused, scratch],
        {
          width_quads: weight.columns / 4,
          rows: slice.count,
          weight_row: slice.weightRow,
          curvature_row: slice.besideRow,
          output_row: slice.row,
          seed_low: seed[0],
          seed_high: seed[1],
          tensor: tensor.tensor,
          step,
          query: points[0]!.query,
          copies: points.length,
          scale: points[0]!.scale,
          scale_second: points[1]?.scale ?? 0,
          threshold: tensor.threshold,
          ...padParameters(weight),
        },
        perElement((slice.count * weight.columns) / 8),
      );
      for (let copy = 0; copy < points.length; copy++) {
        const source = { weight: { buffer: scratch }, weightRow: copy * slice.count };
        yield { storage: 'f32', ...source, ...place, rowStart: (first + copy) * rowsPerProbe };
      }
    }
  }
}
