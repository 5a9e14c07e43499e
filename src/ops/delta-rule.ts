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
export type DeltaRuleVariant = 'one-column' | 'four-columns' | 'shared';

/** All of them, for tests. */
export const deltaRuleVariants: readonly DeltaRuleVariant[] = ['one-column', 'four-columns', 'shared'];

/** What an invocation, or a workgroup, has: so many columns of a head; and how many of them a binding's element holds. */
interface Cut {
  columns: number;
  unit: number;
  byWorkgroup?: true;
}

const cuts: Readonly<Record<DeltaRuleVariant, Cut>> = {
  'one-column': { columns: 1, unit: 1 },
  'four-columns': { columns: 4, unit: 4 },
  shared: { columns: 16, unit: 1, byWorkgroup: true },
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

export function scanKernel(KEY_WIDTH: number, variant: DeltaRuleVariant, KEEPS: boolean): KernelDefinition {
  return scanDefinitions.get([KEY_WIDTH, variant, KEEPS], () => ({
    files: [
      'delta-rule/interface.wgsl',
      `delta-rule/${variant}.wgsl`,
      ...(variant === 'shared' ? [] : ['delta-rule/scan.wgsl']),
    ],
    constants: { KEY_WIDTH, KEEPS },
  }));
}

/** Loads cost the most on a software adapter; a GPU wants many invocations, whose matrices fit into registers. */
function variantFor(gpu: Gpu): DeltaRuleVariant {
  if (gpu.kernelStyle !== 'software') return 'one-column';
  return sharedLanes(gpu) === 8 ? 'shared' : 'four-columns';
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
  const variant = options.variant ?? variantFor(gpu);
  const { unit, columns, byWorkgroup } = cuts[variant];
  const y = workspace.take(rows, heads * valueWidth);
  const items = Math.ceil(valueWidth / columns);
  // Runs of all rows are walked once.
  const walks = probes.ownInputs ? 1 : probes.count;
  const count = runs.count * heads * items;
  gpu.recorder.dispatch(
    gpu.kernel(scanKernel(keyWidth, variant, state !== undefined)),
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
    },
    byWorkgroup ? spread(count * walks) : perElement(count * walks),
  );
  workspace.give(coefficients);
  return y;
}
