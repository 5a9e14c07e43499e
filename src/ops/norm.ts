/**
 * RMSNorm and LayerNorm with the gains and shifts of each probe.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { spread } from '../gpu/workgroups.ts';
import { Memo } from '../memo.ts';
import { wholeQuads } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import { checkMultiple } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { type SharingVariant, sharingLanes, sharingVariant } from './matmul-choice.ts';
import { vectorOf } from './probes.ts';

export interface NormOptions {
  kind: 'rms' | 'layer';
  epsilon: number;
  /** Names of the 1-D parameters; a name that the model does not have is left out. */
  gain?: string;
  shift?: string;
  /**
   * Normalise each group of so many columns by itself (a head, say) instead of whole rows. Where 4 does not divide it,
   * pads lie behind each group, which become 0.
   */
  groupWidth?: number;
  /** What is added to every element of the gain. */
  gainOffset?: number;
  /** For tests; chosen by the adapter otherwise. */
  variant?: NormVariant;
}

const definitions = new Memo<KernelDefinition>();

/** How the work is cut; see the heads of kernels/norm.wgsl and kernels/norm-subgroup.wgsl. They give the same bits. */
export type NormVariant = 'workgroup' | SharingVariant;

/** @param gainOffset what is added to the gain */
export function normKernel(
  variant: NormVariant,
  CENTRE: boolean,
  HAS_GAIN: boolean,
  HAS_SHIFT: boolean,
  gainOffset: number,
): KernelDefinition {
  return definitions.get([variant, CENTRE, HAS_GAIN, HAS_SHIFT, gainOffset], () => ({
    files: ['norm-interface.wgsl', variant === 'workgroup' ? 'norm.wgsl' : 'norm-subgroup.wgsl'],
    constants: {
      CENTRE,
      HAS_GAIN,
      HAS_SHIFT,
      GAIN_OFFSET: { f32: gainOffset },
      ...(variant === 'workgroup' ? {} : { LANES: sharingLanes[variant] }),
    },
  }));
}

/** The variant for this adapter. */
function chooseNorm(gpu: Pick<Gpu, 'kernelStyle' | 'adapter' | 'features'>): NormVariant {
  return (gpu.kernelStyle === 'software' ? sharingVariant(gpu) : undefined) ?? 'workgroup';
}

/**
 * @param x [rows, columns]
 * @returns a new activation of the same shape
 */
export function norm(context: OperationContext, x: Activation, options: NormOptions): Activation {
  const { gpu, workspace, probes } = context;
  const { groupWidth: width = x.columns } = options;
  const stride = options.groupWidth === undefined ? width : wholeQuads(width);
  checkMultiple('norm', 'the columns of x', x.columns, stride, 'the width of a group with its pads');
  checkMultiple('norm', 'rows', x.rows, probes.count, 'the number of probes');
  const rows = (x.rows * x.columns) / stride;
  const gain = vectorOf(probes, options.gain);
  const shift = vectorOf(probes, options.shift);
  const y = workspace.take(x.rows, x.columns);
  const variant = options.variant ?? chooseNorm(gpu);
  const hasBoth = [gain !== undefined, shift !== undefined] as const;
  gpu.recorder.dispatch(
    gpu.kernel(normKernel(variant, options.kind === 'layer', ...hasBoth, options.gainOffset ?? 0)),
    [x.buffer, gain?.buffer ?? gpu.unused, shift?.buffer ?? gpu.unused, y.buffer],
    {
      rows,
      width,
      stride,
      rows_per_probe: rows / probes.count,
      gain_offset: gain?.offset ?? 0,
      gain_stride: gain?.stride ?? 0,
      shift_offset: shift?.offset ?? 0,
      shift_stride: shift?.stride ?? 0,
      epsilon: options.epsilon,
    },
    spread(rows),
  );
  return y;
}
