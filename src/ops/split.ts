/**
 * Pieces out of the rows of one projection: queries, keys and values, or others that lie in groups.
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

/** The kernel of {@link regroup}. */
export const regroupKernel: KernelDefinition = { files: ['regroup.wgsl'] };

/**
 * Takes pieces of every group: those of one kind in all groups, then those of the next kind.
 *
 * @param x [rows, groups · Σ pieces, with pads behind]
 * @param options.pieces elements of each piece of a group, in order
 * @param options.first the first piece that is taken, of `count` that follow each other, 3 at most
 * @returns [rows, groups · Σ of the pieces taken, with zeros behind up to whole quads]
 */
export function regroup(
  { gpu, workspace }: OperationContext,
  x: Activation,
  { groups, pieces, first, count }: { groups: number; pieces: readonly number[]; first: number; count: 1 | 2 | 3 },
): Activation {
  const total = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);
  const groupWidth = total(pieces);
  const taken = pieces.slice(first, first + count);
  checkShape('regroup', 'x', x, x.rows, wholeQuads(groups * groupWidth));
  const y = workspace.take(x.rows, wholeQuads(groups * total(taken)));
  const [size0 = 0, size1 = 0, size2 = 0] = taken;
  gpu.recorder.dispatch(
    gpu.kernel(regroupKernel),
    [x.buffer, y.buffer],
    {
      ...{ elements: x.rows * y.columns, columns: y.columns, x_stride: x.columns, groups, group_width: groupWidth },
      ...{ start: total(pieces.slice(0, first)), size_0: size0, size_1: size1, size_2: size2 },
    },
    perElement(x.rows * y.columns),
  );
  return y;
}
