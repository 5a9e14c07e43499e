/**
 * Embedding lookup with the low-rank change of each probe: row t of W + ΔW is a gather.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import { spread } from '../gpu/recorder.ts';
import type { Weight } from '../tensor/weight.ts';
import type { Activation } from '../tensor/workspace.ts';
import type { OperationContext } from './context.ts';
import { paddedRank } from './probes.ts';

/**
 * @param ids one u32 per row of a probe; all probes look up the same ids
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
  const y = addTo ?? workspace.take(rows, weight.columns);
  const kernel = gpu.kernel({
    files: [`weights/${weight.storage}.wgsl`, 'embed.wgsl'],
    constants: {
      STORAGE_BITS: weight.storage === 'f32' ? 32 : weight.storage === 'f16' ? 16 : 17,
      ACCUMULATE: addTo !== undefined,
    },
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
        rank_quads: factors ? paddedRank(factors.rank) / 4 : 0,
        rows_per_probe: rows / probes.count,
        state_offset: factors?.stateOffset ?? 0,
        state_stride: probes.stateStride,
        scale: factors?.scale ?? 0,
        weight_scale: probes.weightScale,
      },
      spread(rows),
    );
  }
  return y;
}
