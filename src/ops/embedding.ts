/**
 * Embedding lookup with the low-rank change or the dense noise of each probe: row t of W + ΔW is a gather.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import { spread } from '../gpu/workgroups.ts';
import type { Weight } from '../tensor/weight.ts';
import type { Activation } from '../tensor/workspace.ts';
import { codecFile } from '../weights/index.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { noisyKernel, rowSlices } from './dense.ts';
import { factorFile } from './factors.ts';
import { type DenseNoise, directionNumber, factorWidth, inputRows, weightScaleOf } from './probes.ts';

/** Rows that a workgroup makes together on software adapters; see kernels/embed.wgsl. */
const rowsTogether = 4;

/**
 * @param ids one u32 per row that has inputs of its own ({@link inputRows}). Rows of ids behind the table are left as
 *   they are.
 * @param rows rows in all, probes × rows per probe
 * @param addTo add to this activation instead of making a new one (position embeddings)
 * @returns [rows, weight columns]
 */
export function embed(
  context: OperationContext,
  ids: GpuBuffer,
  rows: number,
  weight: Weight,
  addTo?: Activation,
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
  const rowsAtOnce = factors && gpu.kernelStyle === 'software' && rows >= rowsTogether ? rowsTogether : 1;
  const kernel = gpu.kernel({
    files: [codecFile(weight.storage), factorFile[factors?.storage ?? 'f32'], 'embed.wgsl'],
    constants: { ACCUMULATE: addTo !== undefined, ROWS: rowsAtOnce },
  });
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
      spread(Math.ceil(rows / rowsAtOnce)),
    );
  }
  return y;
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
      },
      spread(rows),
    );
  }
}
