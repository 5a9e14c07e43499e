/**
 * The gated delta rule (arXiv 2412.06464): a matrix for every head that fades with each token and learns its value for
 * its key.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement, spread } from '../gpu/workgroups.ts';
import { Memo } from '../memo.ts';
import type { Activation } from '../tensor/workspace.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { sharedLanes } from './matmul-choice.ts';
import { vectorOf } from './probes.ts';
import type { Runs } from './runs.ts';

/** How the work is cut; see the heads of kernels/delta-rule/*.wgsl. */
export type DeltaRuleVariant = 'one-column' | 'four-columns' | 'shared' | 'wide' | 'chunked';

/** All of them, for tests. */
export const deltaRuleVariants: readonly DeltaRuleVariant[] = [
  'one-column',
  'four-columns',
  'shared',
  'wide',
  'chunked',
];

/** The columns of a head that an invocation, or a workgroup, has, and those that an element of a binding holds. */
interface Cut {
  columns: number;
  unit: number;
  byWorkgroup?: true;
}

const cuts: Readonly<Record<DeltaRuleVariant, Cut>> = {
  'one-column': { columns: 1, unit: 1 },
  'four-columns': { columns: 4, unit: 4 },
  shared: { columns: 4, unit: 4, byWorkgroup: true },
  wide: { columns: 16, unit: 1, byWorkgroup: true },
  chunked: { columns: 32, unit: 1, byWorkgroup: true },
};

export interface DeltaRuleOptions {
  heads: number;
  /** Heads of queries and keys, which neighbouring heads share. */
  keyHeads: number;
  keyWidth: number;
  valueWidth: number;
  /** The factor of how much is learnt; 1 by default. */
  learningScale?: number;
  /** Names of ln A and of the bias in front of softplus, [heads] each. */
  rate: string;
  bias: string;
  runs: Runs;
  /** The matrices of each sequence [states, heads, key width, value width], which are continued and kept. */
  state?: GpuBuffer;
  /** For tests and benchmarks; by the adapter otherwise. */
  variant?: DeltaRuleVariant;
}

/** What is added to the squared length of queries and keys, as in transformers and flash-linear-attention. */
const epsilon = 1e-6;

const scanDefinitions = new Memo<KernelDefinition>();

export function coefficientsKernel(KEY_WIDTH: number): KernelDefinition {
  return { files: ['delta-rule/coefficients.wgsl'], constants: { KEY_WIDTH } };
}

/** Tokens of a chunk of delta-rule/chunked.wgsl, most first; the work among them grows with their square. */
const chunkLengths = [16, 8, 4, 2, 1];

/** Tokens of a run from which chunks pay on a GPU: one that is not full costs as much as a full one. */
const leastChunkedTokens = 16;

/**
 * The tokens of a chunk: as many as fit into the workgroup memory, or undefined where not even one does.
 * @param limit bytes
 */
export function chunkLength(keyWidth: number, limit: number): number | undefined {
  const { columns } = cuts.chunked;
  const stride = 16 * Math.ceil(keyWidth / 16) + 4;
  const bytes = (chunk: number): number => 4 * chunk * (2 * stride + 4 + 2 * chunk + 5 * columns);
  return chunkLengths.find((chunk) => bytes(chunk) <= limit);
}

/** @param CHUNK tokens of a chunk, where the variant has chunks */
export function scanKernel(
  KEY_WIDTH: number,
  variant: DeltaRuleVariant,
  KEEPS: boolean,
  CHUNK: number,
): KernelDefinition {
  return scanDefinitions.get([KEY_WIDTH, variant, KEEPS, CHUNK], () => ({
    files: [
      'delta-rule/interface.wgsl',
      `delta-rule/${variant}.wgsl`,
      ...(cuts[variant].byWorkgroup ? [] : ['delta-rule/scan.wgsl']),
    ],
    constants: { KEY_WIDTH, KEEPS, ...(variant === 'chunked' ? { CHUNK } : {}) },
  }));
}

/**
 * The variant for runs of so many tokens on this adapter. Loads cost the most on a software adapter. A GPU wants
 * products whose operands are at hand or, for few tokens, many invocations.
 *
 * @param shape `tokens` of a run, in the mean; whether it `keeps` its state
 */
export function chooseDeltaRule(
  gpu: Pick<Gpu, 'kernelStyle' | 'adapter' | 'features'> & {
    device: { limits: Pick<GPUSupportedLimits, 'maxComputeWorkgroupStorageSize'> };
  },
  { keyWidth, tokens, keeps }: { keyWidth: number; tokens: number; keeps: boolean },
): DeltaRuleVariant {
  if (gpu.kernelStyle === 'software') {
    if (sharedLanes(gpu) !== 8) return 'four-columns';
    return keeps ? 'shared' : 'wide';
  }
  const fits = chunkLength(keyWidth, gpu.device.limits.maxComputeWorkgroupStorageSize) !== undefined;
  return tokens >= leastChunkedTokens && fits ? 'chunked' : 'one-column';
}

/**
 * @param x queries, keys and values [rows, 2 · key heads · key width + heads · value width], before queries and keys
 *   are brought to length 1
 * @param learning @param forgetting what the model makes for each head [rows, heads with pads]
 * @returns [rows, heads · value width]
 */
export function deltaRule(
  context: OperationContext,
  x: Activation,
  learning: Activation,
  forgetting: Activation,
  options: DeltaRuleOptions,
): Activation {
  const { gpu, workspace, probes } = context;
  const { heads, keyHeads, keyWidth, valueWidth, runs, state } = options;
  const { rows } = x;
  const keys = keyHeads * keyWidth;
  checkShape('deltaRule', 'x', x, rows, 2 * keys + heads * valueWidth);
  checkShape('deltaRule', 'what forgets', forgetting, rows, learning.columns);
  checkMultiple('deltaRule', 'the number of heads', heads, keyHeads, 'the number of key heads');
  checkMultiple('deltaRule', 'the width of keys', keyWidth, 4, 'what kernels read at once');
  checkMultiple('deltaRule', 'the width of values', valueWidth, 4, 'what kernels read at once');
  checkMultiple('deltaRule', 'rows', rows, probes.count, 'the number of probes');
  const [rate, bias] = [vectorOf(probes, options.rate), vectorOf(probes, options.bias)];
  if (!rate || !bias) throw new Error(`deltaRule: the probes have no "${options.rate}" or no "${options.bias}"`);
  const rowsPerProbe = rows / probes.count;
  const coefficients = workspace.take(rows, 4 * heads);
  gpu.recorder.dispatch(
    gpu.kernel(coefficientsKernel(keyWidth)),
    [x.buffer, forgetting.buffer, learning.buffer, rate.buffer, bias.buffer, coefficients.buffer],
    {
      rows,
      heads,
      key_heads: keyHeads,
      width: x.columns,
      gate_stride: learning.columns,
      rows_per_probe: rowsPerProbe,
      rate_offset: rate.offset,
      rate_stride: rate.stride,
      bias_offset: bias.offset,
      bias_stride: bias.stride,
      key_width: keyWidth,
      epsilon,
      learning_scale: options.learningScale ?? 1,
    },
    perElement(rows * heads),
  );
  // Runs of all rows are walked once.
  const walks = probes.ownInputs ? 1 : probes.count;
  const tokens = rows / walks / runs.count;
  const variant = options.variant ?? chooseDeltaRule(gpu, { keyWidth, tokens, keeps: state !== undefined });
  if (variant === 'wide' && state) throw new Error('deltaRule: the variant "wide" keeps no state');
  const { unit, columns, byWorkgroup } = cuts[variant];
  const y = workspace.take(rows, heads * valueWidth);
  const items = Math.ceil(valueWidth / columns);
  const count = runs.count * heads * items;
  const chunk = chunkLength(keyWidth, gpu.device.limits.maxComputeWorkgroupStorageSize) ?? 0;
  gpu.recorder.dispatch(
    gpu.kernel(scanKernel(keyWidth, variant, state !== undefined, chunk)),
    [x.buffer, x.buffer, coefficients.buffer, runs.table, state ?? gpu.unused, y.buffer],
    {
      count,
      probes: walks,
      heads,
      key_heads: keyHeads,
      items,
      width: x.columns,
      value_width: valueWidth / unit,
      value_stride: x.columns / unit,
      first_value: (2 * keys) / unit,
      rows_per_probe: rowsPerProbe,
      key_width: keyWidth,
      chunk,
    },
    byWorkgroup ? spread(count * walks) : perElement(count * walks),
  );
  workspace.give(coefficients);
  return y;
}
