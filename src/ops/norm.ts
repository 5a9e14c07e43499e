/**
 * RMSNorm and LayerNorm with the gains and shifts of each probe.
 *
 * @module
 */

import { spread } from '../gpu/recorder.ts';
import type { Activation } from '../tensor/workspace.ts';
import type { OperationContext } from './context.ts';

export interface NormOptions {
  kind: 'rms' | 'layer';
  epsilon: number;
  /** Names of the 1-D parameters; a name that the model does not have is left out. */
  gain?: string;
  shift?: string;
  /** Normalise each group of so many columns by itself (a head, say) instead of whole rows. */
  groupWidth?: number;
}

/**
 * @param x [rows, columns]
 * @returns a new activation of the same shape
 */
export function norm(context: OperationContext, x: Activation, options: NormOptions): Activation {
  const { gpu, workspace, probes } = context;
  const width = options.groupWidth ?? x.columns;
  const rows = (x.rows * x.columns) / width;
  const gain = options.gain === undefined ? undefined : probes.vectors.get(options.gain);
  const shift = options.shift === undefined ? undefined : probes.vectors.get(options.shift);
  const y = workspace.take(x.rows, x.columns);
  gpu.recorder.dispatch(
    gpu.kernel({
      files: ['norm.wgsl'],
      constants: {
        CENTRE: options.kind === 'layer',
        HAS_GAIN: gain !== undefined,
        HAS_SHIFT: shift !== undefined,
      },
    }),
    [x.buffer, probes.state, y.buffer],
    {
      rows,
      width,
      rows_per_probe: rows / probes.count,
      gain_offset: gain ?? 0,
      shift_offset: shift ?? 0,
      state_stride: probes.stateStride,
      epsilon: options.epsilon,
    },
    spread(rows),
  );
  return y;
}
