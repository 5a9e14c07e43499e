/**
 * LoRA beside a linear layer, with the A and B of each probe.
 *
 * @module
 */

import { perElement } from '../gpu/workgroups.ts';
import { type Layout, plainAxis } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import { activationNumber, type MatmulActivation } from './activation.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { padded } from './pad.ts';
import { type LoraPair, vectorOf } from './probes.ts';

/**
 * Records y ← activation(y + scale · (x A_pᵀ) B_pᵀ) for the probe p of each row.
 *
 * @param x [rows, in features]
 * @param y [rows, out features]: the layer without LoRA and before its activation
 * @param layout of the weight, whose pads A and B get
 */
export function addLora(
  context: OperationContext,
  x: Activation,
  pair: LoraPair,
  y: Activation,
  activation: MatmulActivation,
  layout: Layout = { rows: plainAxis(y.columns), columns: plainAxis(x.columns) },
): void {
  const { gpu, workspace, probes } = context;
  const { rank } = pair;
  checkShape('LoRA', 'y', y, x.rows, y.columns);
  checkMultiple('LoRA', 'rows', x.rows, probes.count, 'the number of probes');
  const rowsPerProbe = x.rows / probes.count;
  const ofA = padded(context, vectorOf(probes, pair.a)!, { rows: plainAxis(rank), columns: layout.columns });
  const ofB = padded(context, vectorOf(probes, pair.b)!, { rows: layout.rows, columns: plainAxis(rank) });
  const [a, b] = [ofA.place, ofB.place];
  const t = workspace.take(x.rows, rank);
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['lora/down.wgsl'] }),
    [x.buffer, a.buffer, t.buffer],
    {
      rows: x.rows,
      rank,
      inner_quads: x.columns / 4,
      rows_per_probe: rowsPerProbe,
      a_quads: a.offset / 4,
      a_stride_quads: a.stride / 4,
      scale: pair.scale,
    },
    perElement(x.rows * rank),
  );
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['activation.wgsl', 'lora/up.wgsl'], constants: { ACTIVATION: activationNumber[activation] } }),
    [t.buffer, b.buffer, y.buffer],
    {
      rows: y.rows,
      columns: y.columns,
      rank,
      rows_per_probe: rowsPerProbe,
      b_offset: b.offset,
      b_stride: b.stride,
    },
    perElement(y.rows * y.columns),
  );
  workspace.give(t, ...ofA.memory, ...ofB.memory);
}
