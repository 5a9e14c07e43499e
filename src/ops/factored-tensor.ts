/**
 * A small tensor with its low-rank change, made in full for every probe.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { spread } from '../gpu/workgroups.ts';
import { type LowRankFactors, paddedRank } from './probes.ts';

/** Where a tensor, seen as a matrix, lies among the others. */
export interface FactoredTensorPlace {
  rows: number;
  columns: number;
  factors: LowRankFactors;
  /** First element within the tensors of one probe. */
  offset: number;
}

/**
 * Records baseScale · T + μ U S Vᵀ for some probes.
 *
 * @param states S of probe p at `state`, `stride` elements apart
 * @param base T, and `made` the results, `madeStride` elements apart
 */
export function recordFactoredTensor(
  gpu: Gpu,
  { rows, columns, factors, offset }: FactoredTensorPlace,
  { state, count, stride }: { state: GpuBuffer; count: number; stride: number },
  { base, baseScale, made, madeStride }: { base: GpuBuffer; baseScale: number; made: GpuBuffer; madeStride: number },
): void {
  const [x, y] = spread(rows);
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['zo/make-adapter.wgsl'] }),
    [factors.u, factors.vTransposed, state, base, made],
    {
      rows,
      columns,
      rank: factors.rank,
      u_stride: paddedRank(factors.rank),
      v_start: factors.vRow * columns,
      state_offset: factors.stateOffset,
      state_stride: stride,
      offset,
      made_stride: madeStride,
      scale: factors.scale,
      base_scale: baseScale,
    },
    [x, y, count],
  );
}
