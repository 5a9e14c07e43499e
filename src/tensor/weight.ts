/**
 * Two-dimensional weights on the GPU: storage type, and the parts that a tensor larger than one binding is split into.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { MemoryCategory } from '../gpu/memory.ts';
import { rowBytes, type Storage } from '../weights/index.ts';
import { axisLength, isPadded, type Layout, plainAxis, storedLength } from './axis.ts';

/** Consecutive rows of a weight in one buffer. */
export interface WeightPart {
  buffer: GpuBuffer;
  rowStart: number;
  rowCount: number;
}

/**
 * A weight matrix [rows = out features, columns = in features] as it is stored, row-major; only read while training
 * within a period.
 */
export interface Weight {
  /** The name in the checkpoint. */
  name: string;
  rows: number;
  columns: number;
  storage: Storage;
  parts: WeightPart[];
  /** Which of its rows and columns are zeros that only pad it; absent where none are. */
  layout?: Layout;
}

/** How a weight is stored, padded or not. */
export function layoutOf({ rows, columns, layout }: Pick<Weight, 'rows' | 'columns' | 'layout'>): Layout {
  return layout ?? { rows: plainAxis(rows), columns: plainAxis(columns) };
}

/** Rows and columns of a weight in its checkpoint. */
export function shapeOf(weight: Pick<Weight, 'rows' | 'columns' | 'layout'>): [number, number] {
  const { rows, columns } = layoutOf(weight);
  return [axisLength(rows), axisLength(columns)];
}

/**
 * Reserves the parts of a weight, none of them larger than one storage binding of the device.
 *
 * @param columns must be a multiple of 4: kernels read four elements at a time
 */
export function allocateWeight(
  gpu: Gpu,
  name: string,
  rows: number,
  columns: number,
  storage: Storage,
  category: MemoryCategory = 'weights',
): Weight {
  const bytes = rowBytes(storage, columns);
  const rowsPerPart = Math.max(1, Math.floor(gpu.bindingLimit / bytes));
  const parts: WeightPart[] = [];
  for (let rowStart = 0; rowStart < rows; rowStart += rowsPerPart) {
    const rowCount = Math.min(rowsPerPart, rows - rowStart);
    parts.push({ buffer: gpu.allocate(rowCount * bytes, category, name), rowStart, rowCount });
  }
  return { name, rows, columns, storage, parts };
}

/** {@link allocateWeight} for a matrix of a checkpoint, which the caller fills in with its pads. */
export function allocateMatrix(gpu: Gpu, name: string, layout: Layout, storage: Storage): Weight {
  const { rows, columns } = layout;
  const weight = allocateWeight(gpu, name, storedLength(rows), storedLength(columns), storage);
  return isPadded(rows) || isPadded(columns) ? { ...weight, layout } : weight;
}

/** The part that a row lies in. */
export function partOf(weight: Weight, row: number): WeightPart {
  return weight.parts.find(({ rowStart, rowCount }) => row >= rowStart && row < rowStart + rowCount)!;
}

/** Frees the weight's buffers. */
export function destroyWeight(weight: Weight): void {
  for (const part of weight.parts) part.buffer.destroy();
}
