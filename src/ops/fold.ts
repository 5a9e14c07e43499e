/**
 * Folding a low-rank change into the weight that it belongs to.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { spread } from '../gpu/workgroups.ts';
import { Memo } from '../memo.ts';
import type { Weight } from '../tensor/weight.ts';
import { codecFile, type Storage } from '../weights/index.ts';
import { type LowRankFactors, paddedRank } from './probes.ts';

/** Rows of a weight that one workgroup folds. */
const rowsAtOnce = 8;

const kernels = new Memo<KernelDefinition>();

/** The kernel for weights of this storage. */
export function foldKernel(storage: Storage): KernelDefinition {
  return kernels.get([storage], () => ({
    files: [codecFile(storage), 'random/philox.wgsl', 'zo/fold.wgsl'],
    constants: { ROWS: rowsAtOnce },
  }));
}

/** What is folded. */
export interface Fold {
  weight: Weight;
  factors: LowRankFactors;
  /** Holds S. */
  state: GpuBuffer;
  /** Factor on the weight: its decay since the last fold. */
  weightScale: number;
  /** Which random bits 16-bit storage is rounded with. */
  seed: readonly [low: number, high: number];
  tensor: number;
  period: number;
}

/** Records W ← weightScale · W + μ U S Vᵀ, rounded stochastically where W has 16 bits (docs/method.md, point 5). */
export function recordFold(gpu: Gpu, { weight, factors, state, weightScale, seed, tensor, period }: Fold): void {
  for (const part of weight.parts) {
    gpu.recorder.dispatch(
      gpu.kernel(foldKernel(weight.storage)),
      [factors.u, factors.vTransposed, state, part.buffer],
      {
        width_quads: weight.columns / 4,
        row_start: part.rowStart,
        part_rows: part.rowCount,
        rank: factors.rank,
        rank_quads: paddedRank(factors.rank) / 4,
        v_start: (factors.vRow * weight.columns) / 4,
        state_offset: factors.stateOffset,
        scale: factors.scale,
        weight_scale: weightScale,
        seed_low: seed[0],
        seed_high: seed[1],
        tensor,
        period,
      },
      spread(Math.ceil(part.rowCount / rowsAtOnce)),
    );
  }
}
