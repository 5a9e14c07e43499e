/**
 * LoRA beside a linear layer, with the A and B of each probe.
 *
 * @module
 */

import { perElement } from '../gpu/workgroups.ts';
import type { Activation } from '../tensor/workspace.ts';
import { activationNumber, type MatmulActivation } from './activation.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { type LoraPair, vectorOf } from './probes.ts';

/**
 * Records y ← activation(y + scale · (x A_pᵀ) B_pᵀ) for the probe p of each row.
 *
 * @param x [rows, in features]
 * @param y [rows, out features]: the layer without LoRA and before its activation
 */
export function addLora(
  context: OperationContext,
  x: Activation,
  pair: LoraPair,
  y: Activation,
  activation: MatmulActivation,
): void {
  const { gpu, workspace, probes } = context;
  const { rank } = pair;
  const [a, b] = [vectorOf(probes, pair.a)!, vectorOf(probes, pair.b)!];
  checkShape('LoRA', 'y', y, x.rows, y.columns);
  checkMultiple('LoRA', 'rows', x.rows, probes.count, 'the number of probes');
  const rowsPerProbe = x.rows / probes.count;
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
  workspace.give(t);
}
