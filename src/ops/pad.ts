/**
 * Vectors and small matrices with the pads that kernels want behind them (tensor/axis.ts).
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import { perElement } from '../gpu/workgroups.ts';
import { axisLength, isPadded, type Layout, storedLength } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import type { OperationContext } from './context.ts';
import type { VectorPlace } from './probes.ts';

/**
 * Records copies of a matrix with zeros as pads.
 *
 * @param from elements without pads, at `offset` + copy · `stride`
 * @param to where the first copy begins; the others follow
 */
function pad(
  { gpu }: Pick<OperationContext, 'gpu'>,
  from: VectorPlace,
  { rows, columns }: Layout,
  to: { buffer: GpuBuffer; offset: number },
  copies = 1,
): void {
  const count = copies * storedLength(rows) * storedLength(columns);
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['pad.wgsl'] }),
    [from.buffer, to.buffer],
    {
      count,
      rows: storedLength(rows),
      row_width: rows.width,
      row_stride: rows.stride,
      columns: storedLength(columns),
      column_width: columns.width,
      column_stride: columns.stride,
      plain_columns: axisLength(columns),
      from_offset: from.offset,
      from_stride: from.stride,
      to_offset: to.offset,
    },
    perElement(count),
  );
}

/**
 * A 1-D parameter or an adapter tensor of every probe as kernels read it: what it is, or a copy with pads where its
 * layout has some.
 * @returns `memory` to be given back after use
 */
export function padded(
  context: OperationContext,
  place: VectorPlace,
  layout: Layout,
): { place: VectorPlace; memory: Activation[] } {
  if (!isPadded(layout.rows) && !isPadded(layout.columns)) return { place, memory: [] };
  const size = storedLength(layout.rows) * storedLength(layout.columns);
  const copies = place.stride === 0 ? 1 : context.probes.count;
  const memory = context.workspace.takeElements(copies * size);
  pad(context, place, layout, { buffer: memory.buffer, offset: 0 }, copies);
  return { place: { buffer: memory.buffer, offset: 0, stride: copies === 1 ? 0 : size }, memory: [memory] };
}
