/**
 * LoRA beside a linear layer: with the A and B of each probe, or with those of the adapters that each row has.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import { perElement } from '../gpu/workgroups.ts';
import { type Layout, plainAxis } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import { activationNumber, type MatmulActivation } from './activation.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { padded } from './pad.ts';
import { type LoraPair, type Probes, type VectorPlace, vectorOf } from './probes.ts';

/** A pair beside a weight. */
export interface Lora {
  pair: LoraPair;
  /** Where its tensors lie. */
  probes: Probes;
  /** Where it is the pair of some rows: the factors [adapters, rows of the pass], and which of them are its own. */
  rows?: { factors: GpuBuffer; adapter: number };
}

/** The pairs beside a weight: that of the probes, or those of the rows' adapters, in their order. */
export function lorasOf(probes: Probes, weight: string): Lora[] {
  const pair = probes.adapter?.lora?.get(weight);
  if (pair) return [{ pair, probes }];
  const { adapters, factors } = probes.rowAdapters ?? {};
  return (adapters ?? []).flatMap((own, adapter) => {
    const pairOf = own.adapter?.lora?.get(weight);
    return pairOf ? [{ pair: pairOf, probes: own, rows: { factors: factors!, adapter } }] : [];
  });
}

/** What the layer is besides the pairs. */
export interface LoraLayer {
  activation?: MatmulActivation;
  /** Layout of the weight, whose pads A and B get. */
  layout?: Layout | undefined;
  /** What y holds already of a bias, which gains are no factors on. */
  bias?: VectorPlace | undefined;
}

/**
 * Records y ← activation(y + Σ f_i · scale · (x A_pᵀ) B_pᵀ) over the pairs, for the probe p of each row i, and f_i = 1
 * where a pair is that of all rows. A row's result does not depend on what other rows have.
 *
 * @param x [rows, in features]
 * @param y [rows, out features]: the layer without LoRA and before its activation, which the last pair applies
 */
export function addLoras(
  context: OperationContext,
  x: Activation,
  loras: readonly Lora[],
  y: Activation,
  layer: LoraLayer = {},
): void {
  for (const lora of loras) {
    const { activation = 'none' } = lora === loras.at(-1) ? layer : {};
    addLora(context, x, lora, y, { ...layer, activation });
  }
}

function addLora(context: OperationContext, x: Activation, lora: Lora, y: Activation, layer: LoraLayer): void {
  const { gpu, workspace } = context;
  const { pair, probes, rows: byRow } = lora;
  const { rank, scale } = pair;
  const { activation = 'none', bias } = layer;
  const layout = layer.layout ?? { rows: plainAxis(y.columns), columns: plainAxis(x.columns) };
  checkShape('LoRA', 'y', y, x.rows, y.columns);
  checkMultiple('LoRA', 'rows', x.rows, context.probes.count, 'the number of probes');
  const rowsPerProbe = x.rows / context.probes.count;
  const ofA = padded(context, vectorOf(probes, pair.a)!, { rows: plainAxis(rank), columns: layout.columns });
  const ofB = padded(context, vectorOf(probes, pair.b)!, { rows: layout.rows, columns: plainAxis(rank) });
  const plainGain = vectorOf(probes, pair.gain);
  const ofGain = plainGain && padded(context, plainGain, { rows: plainAxis(1), columns: layout.rows });
  const [a, b] = [ofA.place, ofB.place];
  const t = workspace.take(x.rows, rank);
  const rowConstants = { BY_ROW: byRow !== undefined };
  const factors = byRow?.factors ?? gpu.unused;
  const factorStart = (byRow?.adapter ?? 0) * x.rows;
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['lora/down.wgsl'], constants: rowConstants }),
    [x.buffer, a.buffer, factors, t.buffer],
    {
      rows: x.rows,
      rank,
      inner_quads: x.columns / 4,
      rows_per_probe: rowsPerProbe,
      a_quads: a.offset / 4,
      a_stride_quads: a.stride / 4,
      factor_start: factorStart,
      scale,
    },
    perElement(x.rows * rank),
  );
  const gain = ofGain?.place;
  const constants = {
    ACTIVATION: activationNumber[activation],
    ...rowConstants,
    HAS_GAIN: gain !== undefined,
    HAS_BIAS: gain !== undefined && bias !== undefined,
  };
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['activation.wgsl', 'lora/up.wgsl'], constants }),
    [t.buffer, b.buffer, factors, gain?.buffer ?? gpu.unused, bias?.buffer ?? gpu.unused, y.buffer],
    {
      rows: y.rows,
      columns: y.columns,
      rank,
      rows_per_probe: rowsPerProbe,
      b_offset: b.offset,
      b_stride: b.stride,
      factor_start: factorStart,
      gain_offset: gain?.offset ?? 0,
      bias_offset: bias?.offset ?? 0,
    },
    perElement(y.rows * y.columns),
  );
  workspace.give(t, ...ofA.memory, ...ofB.memory, ...(ofGain?.memory ?? []));
}
