/**
 * Runs of elements beside each other.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import type { Activation } from '../tensor/workspace.ts';
import type { OperationContext } from './context.ts';

/** Where the elements of a row lie: `size` of them at offset + row · stride. */
export interface JoinedPart {
  buffer: GpuBuffer;
  offset: number;
  stride: number;
  size: number;
}

export const joinKernel: KernelDefinition = { files: ['join.wgsl'] };

/**
 * Copies the parts of every row beside each other.
 *
 * @param parts two or three
 * @returns [rows, Σ sizes], which 4 must divide
 */
export function join({ gpu, workspace }: OperationContext, rows: number, parts: readonly JoinedPart[]): Activation {
  const [first, second, third = { ...parts[0]!, size: 0 }] = parts;
  if (!first || !second || parts.length > 3) throw new Error(`join: two or three parts, and not ${parts.length}`);
  const columns = first.size + second.size + third.size;
  const y = workspace.take(rows, columns);
  gpu.recorder.dispatch(
    gpu.kernel(joinKernel),
    [first.buffer, second.buffer, third.buffer, y.buffer],
    {
      ...{ elements: rows * columns, columns, size_0: first.size, size_1: second.size },
      ...{ offset_0: first.offset, offset_1: second.offset, offset_2: third.offset },
      ...{ stride_0: first.stride, stride_1: second.stride, stride_2: third.stride },
    },
    perElement(rows * columns),
  );
  return y;
}
