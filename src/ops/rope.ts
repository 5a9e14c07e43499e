/**
 * Rotary position embedding.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { wholeQuads } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { inputRows } from './probes.ts';

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
 * Turns the heads of queries and keys, or of either alone, in place. Heads lie whole quads apart.
 *
 * @param turned [rows, heads · headWidth], one or two of them
 * @param positions one u32 per row that has inputs of its own
 * @param headsAtOnce heads that an invocation turns, for tests; chosen by the adapter otherwise
 */
export function rope(
  context: OperationContext,
  [query, key]: readonly [Activation, Activation?],
  positions: GpuBuffer,
  table: RopeTable,
  headWidth: number,
  headsAtOnce?: number,
): void {
  const { gpu, probes } = context;
  const { rows } = query;
  const stride = wholeQuads(headWidth);
  checkMultiple('rope', 'the columns of the queries', query.columns, stride, 'the width of a head');
  if (key) {
    checkMultiple('rope', 'the columns of the keys', key.columns, stride, 'the width of a head');
    checkShape('rope', 'the keys', key, rows, key.columns);
  }
  checkMultiple('rope', 'rows', rows, probes.count, 'the number of probes');
  checkMultiple('rope', 'the part of a head that is turned', table.rotaryWidth, 2, 'a pair of elements');
  if (table.rotaryWidth > headWidth) {
    throw new Error(`rope: ${table.rotaryWidth} elements of a head should be turned; it has ${headWidth}`);
  }
  const heads = query.columns / stride;
  const keyHeads = (key?.columns ?? 0) / stride;
  // Loads decide on software adapters, and the number of invocations on GPUs.
  const together = headsAtOnce ?? (gpu.kernelStyle === 'software' ? heads + keyHeads : 1);
  gpu.recorder.dispatch(
    gpu.kernel(table.interleaved ? interleavedKernel : halvesKernel),
    [positions, table.buffer, query.buffer, key?.buffer ?? gpu.unused],
    {
      rows,
      heads,
      key_heads: keyHeads,
      head_stride: stride,
      rotary_width: table.rotaryWidth,
      input_rows: inputRows(probes, rows),
      heads_at_once: together,
    },
    perElement((rows * Math.ceil((heads + keyHeads) / together) * table.rotaryWidth) / 2),
  );
}
