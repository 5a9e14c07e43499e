/**
 * Row-wise copies and the gated activation.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { type Axis, plainAxis } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import { activationNumber, type MatmulActivation } from './activation.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { padded } from './pad.ts';
import { inputRows, vectorOf } from './probes.ts';

const gatherKernel: KernelDefinition = { files: ['gather-rows.wgsl'] };
const storeKernel: KernelDefinition = { files: ['store-rows.wgsl'] };

/**
 * Picks rows of every probe.
 *
 * @param x [probes · rowsPerProbe, columns]
 * @param indices `count` row numbers within a probe, of each where it has inputs of its own
 * @returns [probes · count, columns]
 */
export function gatherRows(context: OperationContext, x: Activation, indices: GpuBuffer, count: number): Activation {
  const { gpu, workspace, probes } = context;
  checkMultiple('gatherRows', 'rows', x.rows, probes.count, 'the number of probes');
  const y = workspace.take(probes.count * count, x.columns);
  gpu.recorder.dispatch(
    gpu.kernel(gatherKernel),
    [indices, x.buffer, y.buffer],
    {
      count,
      index_count: inputRows(probes, y.rows),
      width: x.columns,
      probes: probes.count,
      source_stride: x.rows / probes.count,
    },
    perElement(y.rows * y.columns),
  );
  return y;
}

/**
 * Writes row i of new keys and values to row slots[i] of a cache, which has rows of the same width.
 *
 * @param key [rows, columns]
 * @param value [rows, columns]
 */
export function storeRows(
  context: OperationContext,
  key: Activation,
  value: Activation,
  slots: GpuBuffer,
  cached: { keys: GpuBuffer; values: GpuBuffer },
): void {
  const { gpu } = context;
  checkShape('storeRows', 'the values', value, key.rows, key.columns);
  gpu.recorder.dispatch(
    gpu.kernel(storeKernel),
    [slots, key.buffer, value.buffer, cached.keys, cached.values],
    { count: key.rows, width: key.columns },
    perElement(key.rows * key.columns),
  );
}

/**
 * Fills in the rows of virtual tokens, whose ids lie behind the vocabulary (model/virtual-tokens.ts), from a tensor of
 * a scheme.
 *
 * @param y [probes · rows, columns]
 * @param ids one u32 per row that has inputs of its own
 * @param name of the tensor [virtual tokens, columns without pads]
 * @param columns of y, where some are pads
 */
export function virtualRows(
  context: OperationContext,
  y: Activation,
  ids: GpuBuffer,
  vocabulary: number,
  name: string,
  columns: Axis = plainAxis(y.columns),
): void {
  const { gpu, probes, workspace } = context;
  const rows = plainAxis(probes.adapter?.virtualTokens ?? 0);
  const { place, memory } = padded(context, vectorOf(probes, name)!, { rows, columns });
  const { buffer, offset, stride } = place;
  const widthQuads = y.columns / 4;
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['virtual-rows.wgsl'] }),
    [ids, buffer, y.buffer],
    {
      rows: y.rows,
      width_quads: widthQuads,
      rows_per_probe: y.rows / probes.count,
      input_rows: inputRows(probes, y.rows),
      vocabulary,
      first_quad: offset / 4,
      stride_quads: stride / 4,
    },
    perElement(y.rows * widthQuads),
  );
  workspace.give(...memory);
}

/**
 * Takes apart what lies in turns, a run of `width` columns each.
 *
 * @param x [rows, heads · 2 · width]
 * @returns the first runs of all heads and the second ones, [rows, heads · width] each
 */
export function splitHeads(
  { gpu, workspace }: OperationContext,
  x: Activation,
  width: number,
): [Activation, Activation] {
  checkMultiple('splitHeads', 'the columns of x', x.columns, 2 * width, 'two runs of each head');
  checkMultiple('splitHeads', 'the width of a run', width, 4, 'what kernels read at once');
  const first = workspace.take(x.rows, x.columns / 2);
  const second = workspace.take(x.rows, x.columns / 2);
  const count = (x.rows * x.columns) / 8;
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['split-heads.wgsl'] }),
    [x.buffer, first.buffer, second.buffer],
    { count, width_quads: width / 4 },
    perElement(count),
  );
  return [first, second];
}

/** gate ← activation(gate) · up, in place. */
export function gate(
  context: OperationContext,
  gated: Activation,
  up: Activation,
  activation: MatmulActivation = 'silu',
): void {
  const { gpu } = context;
  checkShape('gate', 'what is gated', up, gated.rows, gated.columns);
  checkMultiple('gate', 'the columns', gated.columns, 4, 'what kernels read at once');
  const quads = (gated.rows * gated.columns) / 4;
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['activation.wgsl', 'gate.wgsl'], constants: { ACTIVATION: activationNumber[activation] } }),
    [up.buffer, gated.buffer],
    { quads },
    perElement(quads),
  );
}

/**
 * activation(gate) · up of rows that hold the gate, then up.
 * @param packed [rows, 2 · columns]
 * @returns [rows, columns]
 */
export function gatePacked(
  context: OperationContext,
  packed: Activation,
  activation: MatmulActivation = 'silu',
): Activation {
  const { gpu, workspace } = context;
  checkMultiple('gatePacked', 'the columns', packed.columns, 8, 'what kernels read at once, twice');
  const y = workspace.take(packed.rows, packed.columns / 2);
  const widthQuads = y.columns / 4;
  gpu.recorder.dispatch(
    gpu.kernel({
      files: ['activation.wgsl', 'gate-packed.wgsl'],
      constants: { ACTIVATION: activationNumber[activation] },
    }),
    [packed.buffer, y.buffer],
    { quads: y.rows * widthQuads, width_quads: widthQuads },
    perElement(y.rows * widthQuads),
  );
  return y;
}

/**
 * gate ← scale · activation(gate) · part, in place, where the part is a run of the columns of something wider.
 *
 * @param gated [rows, columns]
 * @param wide [rows, parts · columns]
 * @param part the number of the run
 */
export function gateByPart(
  { gpu }: OperationContext,
  gated: Activation,
  wide: Activation,
  { part, activation, scale }: { part: number; activation: MatmulActivation; scale: number },
): void {
  checkMultiple('gateByPart', 'the columns', gated.columns, 4, 'what kernels read at once');
  checkMultiple('gateByPart', 'the columns of all parts', wide.columns, gated.columns, 'the columns of one');
  checkShape('gateByPart', 'what is gated', wide, gated.rows, wide.columns);
  const widthQuads = gated.columns / 4;
  const quads = gated.rows * widthQuads;
  gpu.recorder.dispatch(
    gpu.kernel({
      files: ['activation.wgsl', 'gate-part.wgsl'],
      constants: { ACTIVATION: activationNumber[activation] },
    }),
    [wide.buffer, gated.buffer],
    { quads, width_quads: widthQuads, stride_quads: wide.columns / 4, first_quad: part * widthQuads, scale },
    perElement(quads),
  );
}

/** The kernel of {@link add}, with a factor of what is added, and of the sum, or without. */
export const addKernel = (SCALED: boolean, SUM_SCALED = false): KernelDefinition => ({
  files: ['add.wgsl'],
  constants: { SCALED, SUM_SCALED },
});

/** sum ← sumScale · (sum + scale · x). */
export function add(
  { gpu }: OperationContext,
  sum: Activation,
  x: Activation,
  scale?: number,
  sumScale?: number,
): void {
  checkShape('add', 'what is added', x, sum.rows, sum.columns);
  checkMultiple('add', 'the columns', sum.columns, 4, 'what kernels read at once');
  const quads = (sum.rows * sum.columns) / 4;
  gpu.recorder.dispatch(
    gpu.kernel(addKernel(scale !== undefined, sumScale !== undefined)),
    [x.buffer, sum.buffer],
    { quads, scale: scale ?? 1, sum_scale: sumScale ?? 1 },
    perElement(quads),
  );
}
