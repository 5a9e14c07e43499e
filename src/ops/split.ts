/**
 * Queries, keys and values out of the rows of one projection.
 *
 * @module
 */

import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { wholeQuads } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import { checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';

/**
 * How the heads of a packed projection lie: all queries, all keys, all values; or for each key head its queries, its
 * key, its value.
 */
export type PackedOrder = 'blocks' | 'groups';

/** All of them, for tests and benchmarks. */
export const packedOrders: readonly PackedOrder[] = ['blocks', 'groups'];

/** The kernel of an order. */
export function splitKernel(order: PackedOrder): KernelDefinition {
  return { files: ['split.wgsl'], constants: { GROUPED: order === 'groups' } };
}

/**
 * Copies heads out of a packed projection. Heads lie whole quads apart.
 *
 * @param packed [rows, (heads + 2 · key heads) · head width with its pads]
 * @returns queries [rows, heads · head width with its pads], keys and values [rows, key heads · head width with its
 *   pads]
 */
export function split(
  context: OperationContext,
  packed: Activation,
  shape: { heads: number; keyHeads: number; headWidth: number; order: PackedOrder },
): [query: Activation, key: Activation, value: Activation] {
  const { gpu, workspace } = context;
  const { heads, keyHeads } = shape;
  const { rows } = packed;
  const width = wholeQuads(shape.headWidth);
  checkShape('split', 'the packed projection', packed, rows, (heads + 2 * keyHeads) * width);
  const query = workspace.take(rows, heads * width);
  const key = workspace.take(rows, keyHeads * width);
  const value = workspace.take(rows, keyHeads * width);
  gpu.recorder.dispatch(
    gpu.kernel(splitKernel(shape.order)),
    [packed.buffer, query.buffer, key.buffer, value.buffer],
    { rows, heads, key_heads: keyHeads, head_quads: width / 4 },
    perElement((rows * packed.columns) / 4),
  );
  return [query, key, value];
}
