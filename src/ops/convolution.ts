/**
 * Causal convolutions over the tokens of each sequence, of every channel by itself.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { Memo } from '../memo.ts';
import type { Activation } from '../tensor/workspace.ts';
import { activationNumber, type MatmulActivation } from './activation.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { join } from './join.ts';
import { inputRows, vectorOf } from './probes.ts';
import type { Runs } from './runs.ts';

export interface ConvolutionOptions {
  /** Names of the kernel [channels, taps], the last tap for the token itself, and of the bias [channels]. */
  weight: string;
  bias?: string;
  channels: number;
  taps: number;
  /** The vectors that the kernel consists of, where it is not one. */
  parts?: readonly { weight: string; channels: number }[];
  /** Whether x holds B, C and values, and C · convolution(B · value) is wanted. */
  gated?: boolean;
  /** What follows the convolution, before it is gated. */
  activation?: MatmulActivation;
  runs: Runs;
  /** The last inputs of each sequence [states, taps − 1, channels], which are continued and kept. */
  state?: GpuBuffer;
}

/** Rows of a probe that an invocation takes. */
const rowsAtOnce = 8;

const convolveDefinitions = new Memo<KernelDefinition>();
const keepDefinitions = new Memo<KernelDefinition>();

/** The kernel of the convolution itself. */
export function convolveKernel(
  TAPS: number,
  GATED: boolean,
  HAS_BIAS: boolean,
  activation: MatmulActivation,
): KernelDefinition {
  return convolveDefinitions.get([TAPS, GATED, HAS_BIAS, activation], () => ({
    files: ['activation.wgsl', 'convolution/interface.wgsl', 'convolution/convolve.wgsl'],
    constants: { TAPS, ROWS: rowsAtOnce, GATED, HAS_BIAS, ACTIVATION: activationNumber[activation] },
  }));
}

/** The kernel that keeps the last inputs. */
export function keepInputsKernel(TAPS: number, GATED: boolean): KernelDefinition {
  return keepDefinitions.get([TAPS, GATED], () => ({
    files: ['convolution/interface.wgsl', 'convolution/keep-inputs.wgsl'],
    constants: { TAPS, GATED },
  }));
}

/**
 * @param x [rows, channels], or three times as many where it is gated
 * @returns [rows, channels]
 */
export function convolve(context: OperationContext, x: Activation, options: ConvolutionOptions): Activation {
  const { gpu, workspace, probes } = context;
  const { channels, taps, gated = false, activation = 'none', runs, state } = options;
  const { rows } = x;
  checkShape('convolve', 'x', x, rows, gated ? 3 * channels : channels);
  checkMultiple('convolve', 'the channels', channels, 4, 'what kernels read at once');
  checkMultiple('convolve', 'rows', rows, probes.count, 'the number of probes');
  const joined = options.parts && joinVectors(context, options.parts, taps);
  const weight = joined
    ? { buffer: joined.buffer, offset: 0, stride: channels * taps }
    : vectorOf(probes, options.weight);
  if (!weight) throw new Error(`convolve: the probes have no "${options.weight}"`);
  const bias = vectorOf(probes, options.bias);
  const rowsPerProbe = rows / probes.count;
  const blocks = Math.ceil(rowsPerProbe / rowsAtOnce);
  const y = workspace.take(rows, channels);
  gpu.recorder.dispatch(
    gpu.kernel(convolveKernel(taps, gated, bias !== undefined, activation)),
    [...[x.buffer, weight.buffer, bias?.buffer ?? gpu.unused, runs.table, runs.ofRows, state ?? gpu.unused], y.buffer],
    {
      probes: probes.count,
      quads: channels / 4,
      blocks,
      rows_per_probe: rowsPerProbe,
      input_rows: inputRows(probes, rows),
      weight_offset: weight.offset,
      weight_stride: weight.stride,
      bias_offset: bias?.offset ?? 0,
      bias_stride: bias?.stride ?? 0,
    },
    perElement((probes.count * blocks * channels) / 4),
  );
  if (joined) workspace.give(joined);
  if (state && taps > 1) {
    gpu.recorder.dispatch(
      gpu.kernel(keepInputsKernel(taps, gated)),
      [x.buffer, runs.table, state],
      { runs: runs.count, quads: channels / 4 },
      perElement((runs.count * channels) / 4),
    );
  }
  return y;
}

/** The kernel of each probe as one vector. */
function joinVectors(
  context: OperationContext,
  parts: NonNullable<ConvolutionOptions['parts']>,
  taps: number,
): Activation {
  const { probes } = context;
  return join(
    context,
    probes.count,
    parts.map(({ weight, channels }) => {
      const place = vectorOf(probes, weight);
      if (!place) throw new Error(`convolve: the probes have no "${weight}"`);
      return { ...place, size: channels * taps };
    }),
  );
}
