/**
 * Embedding lookup with the low-rank change or the dense noise of each probe: row t of W + ΔW is a gather.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement, spread } from '../gpu/workgroups.ts';
import type { Weight } from '../tensor/weight.ts';
import type { Activation } from '../tensor/workspace.ts';
import { codecFile, type Storage } from '../weights/index.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { noisyKernel, padParameters, rowSlices } from './dense.ts';
import { type FactorStorage, factorFile } from './factors.ts';
import { leastRowsOfLargeBlocks, type SharingVariant, sharingLanes, sharingVariant } from './matmul-choice.ts';
import {
  type DenseNoise,
  directionNumber,
  factorWidth,
  inputRows,
  type LowRankFactors,
  weightScaleOf,
} from './probes.ts';

/**
 * Who makes rows with a low-rank change: a workgroup one or four of them (kernels/embed.wgsl), or a subgroup many at
 * once (kernels/embed-subgroup.wgsl). All add up in one order, so that they give the same bits.
 */
export type EmbedVariant = 'one-row' | 'four-rows' | SharingVariant;

const rowsTogether: Readonly<Record<EmbedVariant, number>> = {
  'one-row': 1,
  'four-rows': 4,
  subgroup: 32,
  'four-lanes': 16,
};

/** Ranks from which it is worth a launch and the time to compile two kernels that the loads of V are shared. */
const leastRankTogether = 32;

/**
 * The variant for so many rows with a change of this rank (0 without one) on this adapter. Software adapters make even
 * single rows by the kernel for four, since another one would take longer to compile than it saves.
 */
function chooseEmbed(gpu: Gpu, rows: number, rank: number): EmbedVariant {
  if (gpu.kernelStyle !== 'software') return 'one-row';
  const sharing = rank >= leastRankTogether ? sharingVariant(gpu) : undefined;
  return sharing && rows >= leastRowsOfLargeBlocks[sharingLanes[sharing]] ? sharing : 'four-rows';
}

/** The kernel that makes rows. @param factors how U and V are stored; any type where there are none */
export function embedKernel(
  variant: EmbedVariant,
  storage: Storage,
  factors: FactorStorage,
  accumulate: boolean,
): KernelDefinition {
  const rows = rowsTogether[variant];
  const files = [codecFile(storage), factorFile[factors]];
  if (!isSharing(variant)) {
    return { files: [...files, 'embed.wgsl'], constants: { ACCUMULATE: accumulate, ROWS: rows } };
  }
  const lanes = sharingLanes[variant];
  return {
    files: [...files, 'subgroup-sums.wgsl', 'embed-subgroup.wgsl'],
    constants: { ACCUMULATE: accumulate, LANES: lanes, BLOCKS: rows / lanes },
  };
}

function isSharing(variant: EmbedVariant): variant is SharingVariant {
  return variant in sharingLanes;
}

/** The kernel that makes the left factor of the rows' changes for the variants of subgroups. */
export function embedCoefficientsKernel(factors: FactorStorage): KernelDefinition {
  return { files: [factorFile[factors], 'embed-coefficients.wgsl'] };
}

/**
 * @param ids one u32 per row that has inputs of its own ({@link inputRows}). Rows of ids behind the table are left as
 *   they are.
 * @param rows rows in all, probes × rows per probe
 * @param addTo add to this activation instead of making a new one (position embeddings)
 * @param variant for tests; chosen by rows, rank and adapter otherwise
 * @returns [rows, weight columns]
 */
export function embed(
  context: OperationContext,
  ids: GpuBuffer,
  rows: number,
  weight: Weight,
  addTo?: Activation,
  variant: EmbedVariant = chooseEmbed(context.gpu, rows, context.probes.factors.get(weight.name)?.rank ?? 0),
): Activation {
  const { gpu, workspace, probes } = context;
  const factors = probes.factors.get(weight.name);
  checkMultiple('embed', 'rows', rows, probes.count, 'the number of probes');
  if (addTo) checkShape('embed', `the sum of ${weight.name}`, addTo, rows, weight.columns);
  const y = addTo ?? workspace.take(rows, weight.columns);
  if (probes.dense?.tensors.has(weight.name)) {
    embedDense(context, probes.dense, ids, rows, weight, y, addTo !== undefined);
    return y;
  }
  const accumulate = addTo !== undefined;
  if (factors && isSharing(variant)) {
    embedTogether(context, variant, factors, ids, weight, y, accumulate);
    return y;
  }
  const kernel = gpu.kernel(embedKernel(variant, weight.storage, factors?.storage ?? 'f32', accumulate));
  for (const part of weight.parts) {
    gpu.recorder.dispatch(
      kernel,
      [
        ids,
        part.buffer,
        factors?.u ?? gpu.unused,
        factors?.vTransposed ?? gpu.unused,
        factors ? probes.state : gpu.unused,
        y.buffer,
      ],
      {
        rows,
        width_quads: weight.columns / 4,
        row_start: part.rowStart,
        part_rows: part.rowCount,
        rank: factors?.rank ?? 0,
        rank_quads: factors ? factorWidth(factors) / 4 : 0,
        v_start: factors ? (factors.vRow * weight.columns) / 4 : 0,
        rows_per_probe: rows / probes.count,
        input_rows: inputRows(probes, rows),
        state_offset: factors?.stateOffset ?? 0,
        state_stride: probes.stateStride,
        scale: factors?.scale ?? 0,
        weight_scale: weightScaleOf(probes, weight.name),
        bank_scale: probes.bankScale ?? 1,
      },
      spread(Math.ceil(rows / rowsTogether[variant])),
    );
  }
  return y;
}

/** The variants of subgroups: the left factor of the changes, then the rows. */
function embedTogether(
  { gpu, workspace, probes }: OperationContext,
  variant: SharingVariant,
  factors: LowRankFactors,
  ids: GpuBuffer,
  weight: Weight,
  y: Activation,
  accumulate: boolean,
): void {
  const { rows } = y;
  const { storage = 'f32' } = factors;
  const width = factorWidth(factors);
  const coefficients = workspace.take(rows, width);
  gpu.recorder.dispatch(
    gpu.kernel(embedCoefficientsKernel(storage)),
    [ids, factors.u, probes.state, coefficients.buffer],
    {
      rows,
      table_rows: weight.rows,
      rank: factors.rank,
      rank_quads: width / 4,
      rows_per_probe: rows / probes.count,
      input_rows: inputRows(probes, rows),
      state_offset: factors.stateOffset,
      state_stride: probes.stateStride,
      scale: factors.scale,
      bank_scale: probes.bankScale ?? 1,
    },
    perElement(rows * width),
  );
  const widthQuads = weight.columns / 4;
  for (const part of weight.parts) {
    gpu.recorder.dispatch(
      gpu.kernel(embedKernel(variant, weight.storage, storage, accumulate)),
      [ids, part.buffer, coefficients.buffer, factors.vTransposed, y.buffer],
      {
        rows,
        width_quads: widthQuads,
        row_start: part.rowStart,
        part_rows: part.rowCount,
        rank_quads: width / 4,
        v_start: factors.vRow * widthQuads,
        input_rows: inputRows(probes, rows),
        weight_scale: weightScaleOf(probes, weight.name),
      },
      spread(Math.ceil(rows / rowsTogether[variant]) * Math.ceil(widthQuads / sharingLanes[variant])),
    );
  }
  workspace.give(coefficients);
}

/** Only the rows that are looked up get their noise. */
function embedDense(
  { gpu, probes }: OperationContext,
  dense: DenseNoise,
  ids: GpuBuffer,
  rows: number,
  weight: Weight,
  y: Activation,
  accumulate: boolean,
): void {
  const { kind, seed, step, table, firstProbe } = dense;
  const tensor = dense.tensors.get(weight.name)!;
  const kernel = gpu.kernel(
    noisyKernel(weight, ['zo/direction.wgsl', 'zo/dense-embed.wgsl'], {
      DIRECTION: directionNumber[kind],
      ACCUMULATE: accumulate,
    }),
  );
  for (const slice of rowSlices(weight, tensor.logCurvature)) {
    gpu.recorder.dispatch(
      kernel,
      [ids, slice.weight, slice.beside ?? gpu.unused, table, y.buffer],
      {
        rows,
        width_quads: weight.columns / 4,
        row_start: slice.row,
        rows_here: slice.count,
        weight_row: slice.weightRow,
        curvature_row: slice.besideRow,
        rows_per_probe: rows / probes.count,
        input_rows: inputRows(probes, rows),
        first_probe: firstProbe,
        seed_low: seed[0],
        seed_high: seed[1],
        tensor: tensor.tensor,
        step,
        threshold: tensor.threshold,
        ...padParameters(weight),
      },
      spread(rows),
    );
  }
}
