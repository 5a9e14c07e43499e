/**
 * A factor, and a soft cap, of all elements.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { Memo } from '../memo.ts';
import type { Activation } from '../tensor/workspace.ts';
import type { OperationContext } from './context.ts';

const definitions = new Memo<KernelDefinition>();

/** @param softCap the bound, 0 for none */
export function scaleKernel(softCap: number): KernelDefinition {
  return definitions.get([softCap], () => ({
    files: ['soft-cap.wgsl', 'scale.wgsl'],
    constants: { SOFT_CAP: { f32: softCap } },
  }));
}

/**
 * x ← c·tanh(scale·x/c) with the soft cap c, or scale·x without one.
 *
 * @param count elements of x, f32
 */
export function scaleBuffer(
  gpu: Gpu,
  x: GpuBuffer,
  count: number,
  { scale = 1, softCap = 0 }: { scale?: number; softCap?: number },
): void {
  gpu.recorder.dispatch(gpu.kernel(scaleKernel(softCap)), [x], { count, scale }, perElement(count));
}

/** x ← scale · x. */
export function scaleActivation({ gpu }: OperationContext, x: Activation, scale: number): void {
  scaleBuffer(gpu, x.buffer, x.rows * x.columns, { scale });
}
