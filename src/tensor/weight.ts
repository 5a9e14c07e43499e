/**
 * Two-dimensional weights on the GPU: storage type, and the parts that a tensor larger than one binding is split into.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { type GpuBuffer, sliceAlignment } from '../gpu/buffer.ts';
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
  /** The stack that it is a matrix of. */
  stack?: WeightStack;
}

/**
 * Weights of one shape that lie one behind the other, so that a kernel sees all of them (those of experts). Each is a
 * weight of its own besides, whose one part is a slice of the stack.
 */
export interface WeightStack {
  /** In order. */
  weights: Weight[];
  rows: number;
  columns: number;
  storage: Storage;
  layout?: Layout;
  /** Rows from one weight to the next, some of which may be unused: a binding begins at whole multiples of bytes. */
  stride: number;
  /** Consecutive weights in one buffer. */
  parts: { buffer: GpuBuffer; first: number; count: number }[];
}

/** Rows from one matrix of a stack to the next: U, of any width, and a weight with rows of so many bytes fit both. */
function stackStride(rows: number, bytes: number): number {
  const least = sliceAlignment / 16;
  let unit = least;
  while ((unit * bytes) % sliceAlignment !== 0) unit += least;
  return Math.ceil(rows / unit) * unit;
}

/**
 * Reserves the weights of a stack.
 * @throws SubzeroError `unsupported` where a single one is larger than a binding
 */
export function allocateStack(gpu: Gpu, names: readonly string[], layout: Layout, storage: Storage): Weight[] {
  const [rows, columns] = [storedLength(layout.rows), storedLength(layout.columns)];
  const bytes = rowBytes(storage, columns);
  const stride = stackStride(rows, bytes);
  const most = Math.floor(Math.min(gpu.bindingLimit, gpu.device.limits.maxBufferSize) / (stride * bytes));
  if (most === 0) {
    throw new SubzeroError(
      'unsupported',
      `${names[0]} takes ${formatBytes(stride * bytes)}; one storage binding of this adapter holds at most ` +
        `${formatBytes(gpu.bindingLimit)}`,
    );
  }
  const padded = isPadded(layout.rows) || isPadded(layout.columns);
  const shape = { rows, columns, storage, ...(padded ? { layout } : {}) };
  const stack: WeightStack = { weights: [], ...shape, stride, parts: [] };
  for (let first = 0; first < names.length; first += most) {
    const count = Math.min(most, names.length - first);
    const buffer = gpu.allocate(count * stride * bytes, 'weights', `${names[first]} and those behind it`);
    stack.parts.push({ buffer, first, count });
    for (const [index, name] of names.slice(first, first + count).entries()) {
      const slice = buffer.slice(index * stride * bytes, rows * bytes, name);
      stack.weights.push({ name, ...shape, parts: [{ buffer: slice, rowStart: 0, rowCount: rows }], stack });
    }
  }
  return stack.weights;
}

/** A matrix of a model to reserve memory for. */
export interface MatrixToAllocate {
  name: string;
  layout: Layout;
  storage: Storage;
  /** The matrices that it lies with; those of a stack have one type. */
  stack?: string;
}

/**
 * Reserves the matrices of a model, by name and in their order.
 * @throws SubzeroError `unsupported` for a stack whose matrices are stored as several types
 */
export function allocateMatrices(gpu: Gpu, matrices: readonly MatrixToAllocate[]): Map<string, Weight> {
  const weights = new Map<string, Weight>();
  const stacks = new Map<string, MatrixToAllocate[]>();
  for (const matrix of matrices) {
    if (matrix.stack === undefined) {
      weights.set(matrix.name, allocateMatrix(gpu, matrix.name, matrix.layout, matrix.storage));
      continue;
    }
    const members = stacks.get(matrix.stack);
    if (members) members.push(matrix);
    else stacks.set(matrix.stack, [matrix]);
  }
  for (const members of stacks.values()) {
    const [{ layout, storage, name }] = members as [MatrixToAllocate];
    const other = members.find((member) => member.storage !== storage);
    if (other) {
      throw new SubzeroError(
        'unsupported',
        `${name} is stored as ${storage} and ${other.name} as ${other.storage}; experts of a layer must have one type`,
      );
    }
    const names = members.map((member) => member.name);
    for (const weight of allocateStack(gpu, names, layout, storage)) weights.set(weight.name, weight);
  }
  return new Map(matrices.map(({ name: each }) => [each, weights.get(each)!]));
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
function allocateMatrix(gpu: Gpu, name: string, layout: Layout, storage: Storage): Weight {
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
