/**
 * Rotary position embedding.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import type { Activation } from '../tensor/workspace.ts';
import { checkMultiple } from './check-shape.ts';
import { type OperationContext, perElement } from './context.ts';

/** Cosines and sines per position, see kernels/rope.wgsl. */
export interface RopeTable {
  buffer: GpuBuffer;
  /** Elements of a head that are turned, even; the rest of the head stays. */
  rotaryWidth: number;
  interleaved: boolean;
}

const interleavedKernel: KernelDefinition = { files: ['rope.wgsl'], constants: { INTERLEAVED: true } };
const halvesKernel: KernelDefinition = { files: ['rope.wgsl'], constants: { INTERLEAVED: false } };

/**
 * Turns the heads of x in place.
 *
 * @param x [rows, heads · headWidth]
 * @param positions one u32 per row of a probe
 */
export function rope(
  context: OperationContext,
  x: Activation,
  positions: GpuBuffer,
  table: RopeTable,
  headWidth: number,
): void {
  const { gpu, probes } = context;
  checkMultiple('rope', 'the columns of x', x.columns, headWidth, 'the width of a head');
  checkMultiple('rope', 'rows', x.rows, probes.count, 'the number of probes');
  checkMultiple('rope', 'the part of a head that is turned', table.rotaryWidth, 2, 'a pair of elements');
  if (table.rotaryWidth > headWidth) {
    throw new Error(`rope: ${table.rotaryWidth} elements of a head should be turned; it has ${headWidth}`);
  }
  const heads = x.columns / headWidth;
  gpu.recorder.dispatch(
    gpu.kernel(table.interleaved ? interleavedKernel : halvesKernel),
    [positions, table.buffer, x.buffer],
    {
      rows: x.rows,
      row_stride: x.columns,
      heads,
      head_width: headWidth,
      rotary_width: table.rotaryWidth,
      rows_per_probe: x.rows / probes.count,
    },
    perElement((x.rows * heads * table.rotaryWidth) / 2),
  );
}
