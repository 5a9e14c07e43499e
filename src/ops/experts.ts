/**
 * Which experts the rows of a pass go to, and how the rows come to them and back. All of it is decided on the GPU, by
 * the logits of each row as its probe sees them; sizes of buffers and launches are those of the worst case.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { type Axis, wholeQuads } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import { activationNumber, type MatmulActivation } from './activation.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { chooseGrouped } from './matmul-choice.ts';
import { blockRowsOf, type MatmulPlan } from './matmul-variants.ts';
import { vectorOf } from './probes.ts';

/** How scores are made of logits: see kernels/experts/scores.wgsl and kernels/experts/sparse-mixer.wgsl. */
export type ExpertScore = 'softmax' | 'sigmoid' | 'sparse-mixer';

/** How experts are chosen: see kernels/experts/route.wgsl. */
export interface RouteOptions {
  experts: number;
  /** Experts of each row. */
  chosen: number;
  score: ExpertScore;
  /** See `Routing.tolerance`; only `sparse-mixer` has one. */
  tolerance?: number;
  /** Name of what is added to the scores when experts are chosen. */
  correction?: string;
}

/** The pairs of a row and one of its experts, in the order in which experts take them. */
export interface RowGroups {
  experts: number;
  /** Experts of each row. */
  count: number;
  /** Rows of a probe. */
  rowsPerProbe: number;
  /** Rows of all probes. */
  rows: number;
  /** Groups of an expert: its rows, or those of each probe by themselves. */
  groupsPerExpert: number;
  /** The experts of each row with their scores, [rows, count]. */
  chosen: GpuBuffer;
  shares: GpuBuffer;
  /** The pair of each place, the place of each pair, and where groups begin; see kernels/experts/. */
  order: GpuBuffer;
  places: GpuBuffer;
  starts: GpuBuffer;
  /** How the products of the groups are made; all of them in blocks of so many rows. */
  plan: MatmulPlan;
  /** To be given back. */
  memory: Activation[];
}

/** Rows whose pairs one invocation counts. */
const chunkRows = 64;

/** The kernel of the experts' scores. */
export const scoresKernel = (score: ExpertScore): KernelDefinition =>
  score === 'sparse-mixer'
    ? { files: ['experts/sparse-mixer.wgsl'] }
    : { files: ['experts/scores.wgsl'], constants: { SIGMOID: score === 'sigmoid' } };

/** The kernel that chooses experts. */
export const routeKernel = (CORRECTED: boolean): KernelDefinition => ({
  files: ['experts/route.wgsl'],
  constants: { CORRECTED },
});

/** The kernels that group rows. */
export const groupKernels = {
  count: { files: ['experts/pairs.wgsl', 'experts/count.wgsl'], constants: { CHUNK: chunkRows } },
  sumUp: { files: ['experts/sum-up.wgsl'] },
  scatter: { files: ['experts/pairs.wgsl', 'experts/scatter.wgsl'], constants: { CHUNK: chunkRows } },
} as const satisfies Record<string, KernelDefinition>;

/**
 * Chooses the experts of every row and groups the rows by them.
 * @param logits [rows, experts with pads]
 * @param plan for tests and benchmarks; chosen by the adapter otherwise
 */
export function groupRows(
  context: OperationContext,
  logits: Activation,
  { experts, chosen: count, score, tolerance = 0, correction }: RouteOptions,
  plan: MatmulPlan = chooseGrouped(context.gpu, (logits.rows * count) / experts),
): RowGroups {
  const { gpu, workspace, probes } = context;
  const { rows } = logits;
  checkMultiple('groupRows', 'rows', rows, probes.count, 'the number of probes');
  const rowsPerProbe = rows / probes.count;
  const chunksPerProbe = Math.ceil(rowsPerProbe / chunkRows);
  const chunks = probes.count * chunksPerProbe;
  // Dense noise makes weights for one probe at a time.
  const groupsPerExpert = probes.dense ? probes.count : 1;
  const groups = experts * groupsPerExpert;
  const take = (elements: number): Activation => workspace.takeElements(elements);
  const [chosen, shares, order, places] = Array.from({ length: 4 }, () => take(rows * count)) as Activation[];
  const counts = take(experts * chunks);
  const starts = take(2 * (groups + 1));
  const place = vectorOf(probes, correction);
  const scores = take(rows * experts);
  gpu.recorder.dispatch(
    gpu.kernel(scoresKernel(score)),
    [logits.buffer, scores.buffer],
    { rows, experts, stride: logits.columns, ...(score === 'sparse-mixer' ? { tolerance } : {}) },
    perElement(rows),
  );
  // Without a correction the logits have the order of the scores, and no two of them are equal by rounding.
  const ranks = place ? scores : logits;
  const stride = place ? experts : logits.columns;
  gpu.recorder.dispatch(
    gpu.kernel(routeKernel(place !== undefined)),
    [scores.buffer, ranks.buffer, place?.buffer ?? gpu.unused, chosen!.buffer, shares!.buffer],
    {
      ...{ rows, experts, count, stride, rows_per_probe: rowsPerProbe },
      ...{ correction_offset: place?.offset ?? 0, correction_stride: place?.stride ?? 0 },
    },
    perElement(rows * experts),
  );
  const parameters = { experts, count, rows_per_probe: rowsPerProbe, chunks_per_probe: chunksPerProbe, chunks };
  gpu.recorder.dispatch(
    gpu.kernel(groupKernels.count),
    [chosen!.buffer, counts.buffer],
    parameters,
    perElement(chunks * experts),
  );
  gpu.recorder.dispatch(
    gpu.kernel(groupKernels.sumUp),
    [counts.buffer, starts.buffer],
    {
      ...{ entries: experts * chunks, groups, entries_per_group: chunks / groupsPerExpert },
      block_rows: blockRowsOf(plan),
    },
    [1],
  );
  gpu.recorder.dispatch(
    gpu.kernel(groupKernels.scatter),
    [chosen!.buffer, counts.buffer, order!.buffer, places!.buffer],
    parameters,
    perElement(chunks * experts),
  );
  workspace.give(counts, scores);
  return {
    ...{ experts, count, rowsPerProbe, rows, groupsPerExpert, plan },
    ...{ chosen: chosen!.buffer, shares: shares!.buffer, order: order!.buffer, places: places!.buffer },
    starts: starts.buffer,
    memory: [chosen!, shares!, order!, places!, starts],
  };
}

/** The rows of x that experts read, one for each pair: [rows · count, columns]. */
export function gatherPairs({ gpu, workspace }: OperationContext, x: Activation, groups: RowGroups): Activation {
  const { rows, count, order } = groups;
  checkShape('gatherPairs', 'x', x, rows, x.columns);
  checkMultiple('gatherPairs', 'the columns', x.columns, 4, 'what kernels read at once');
  const y = workspace.takeTimes(rows, count, x.columns);
  const quads = (y.rows * y.columns) / 4;
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['experts/gather.wgsl'] }),
    [order, x.buffer, y.buffer],
    { quads, width_quads: x.columns / 4, count },
    perElement(quads),
  );
  return y;
}

/** The kernel of {@link gatePairs}. */
export function gatePairsKernel(
  activation: MatmulActivation,
  flags: { INTERLEAVED: boolean; HAS_BIAS: boolean; CLAMPED: boolean },
): KernelDefinition {
  return {
    files: ['activation.wgsl', 'experts/gate.wgsl'],
    constants: { ACTIVATION: activationNumber[activation], ...flags },
  };
}

/**
 * The gated activation of experts whose gate and up are one projection.
 * @param packed [rows · count, gate and up], with pads behind each of them, or behind both if interleaved
 * @param options.inner the elements of y
 * @param options.bias name of the biases [experts, gate and up]
 * @returns [rows · count, inner with pads]
 */
export function gatePairs(
  { gpu, workspace, probes }: OperationContext,
  packed: Activation,
  { rows, count, rowsPerProbe, order, chosen }: RowGroups,
  options: {
    inner: Axis;
    interleaved: boolean;
    activation: MatmulActivation;
    bias?: string;
    clamped?: { limit: number; gain: number };
  },
): Activation {
  const { inner, interleaved, activation, clamped } = options;
  const { width, stride } = inner;
  checkShape('gatePairs', 'gate and up', packed, rows * count, interleaved ? wholeQuads(2 * width) : 2 * stride);
  const y = workspace.takeTimes(rows, count, stride);
  const bias = vectorOf(probes, options.bias);
  const flags = { INTERLEAVED: interleaved, HAS_BIAS: bias !== undefined, CLAMPED: clamped !== undefined };
  gpu.recorder.dispatch(
    gpu.kernel(gatePairsKernel(activation, flags)),
    [order, chosen, packed.buffer, bias?.buffer ?? gpu.unused, y.buffer],
    {
      ...{ elements: y.rows * stride, width, y_stride: stride, packed_stride: packed.columns, up_start: stride, count },
      ...{ rows_per_probe: rowsPerProbe, bias_offset: bias?.offset ?? 0, bias_stride: bias?.stride ?? 0 },
      ...{ limit: clamped?.limit ?? 0, gain: clamped?.gain ?? 0 },
    },
    perElement(y.rows * stride),
  );
  return y;
}

/** The kernel of {@link combine}. */
export const combineKernel = (NORMALISED: boolean, HAS_BIAS: boolean, SCALED: boolean): KernelDefinition => ({
  files: ['experts/combine.wgsl'],
  constants: { NORMALISED, HAS_BIAS, SCALED },
});

/**
 * What the experts of each row give together.
 * @param x [rows · count, columns], one row for each pair
 * @param options.sumLeast @param options.sumOffset shares are divided by max(their sum, least) + offset if normalised
 * @param options.bias name of the biases [experts, width], one row of which is added to each pair's
 * @param options.expertScales name of a factor for each expert of what it gives, biases included
 * @returns [rows, columns]
 */
export function combine(
  { gpu, workspace, probes }: OperationContext,
  x: Activation,
  { rows, count, rowsPerProbe, chosen, shares, places }: RowGroups,
  options: {
    normalised: boolean;
    sumLeast?: number;
    sumOffset?: number;
    scale?: number;
    bias?: { name: string; width: number };
    expertScales?: string;
  },
): Activation {
  const { normalised, sumLeast: least = 0, sumOffset: offset = 0, scale = 1 } = options;
  const bias = vectorOf(probes, options.bias?.name);
  const scales = vectorOf(probes, options.expertScales);
  checkShape('combine', 'x', x, rows * count, x.columns);
  const y = workspace.take(rows, x.columns);
  const quads = (rows * x.columns) / 4;
  gpu.recorder.dispatch(
    gpu.kernel(combineKernel(normalised, bias !== undefined, scales !== undefined)),
    [...[shares, places, x.buffer, chosen, bias?.buffer ?? gpu.unused, scales?.buffer ?? gpu.unused], y.buffer],
    {
      ...{ quads, width_quads: x.columns / 4, count, scale, least, offset, width: options.bias?.width ?? 0 },
      ...{ rows_per_probe: rowsPerProbe, bias_offset: bias?.offset ?? 0, bias_stride: bias?.stride ?? 0 },
      ...{ scales_offset: scales?.offset ?? 0, scales_stride: scales?.stride ?? 0 },
    },
    perElement(quads),
  );
  return y;
}

/** sum ← sum + sigmoid(g) · x. @param gates [rows, ≥ 1], whose first column is g */
export function addShared({ gpu }: OperationContext, sum: Activation, x: Activation, gates: Activation): void {
  checkShape('addShared', 'what is added', x, sum.rows, sum.columns);
  checkShape('addShared', 'the gates', gates, sum.rows, gates.columns);
  const quads = (sum.rows * sum.columns) / 4;
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['experts/add-shared.wgsl'] }),
    [gates.buffer, x.buffer, sum.buffer],
    { quads, width_quads: sum.columns / 4, gate_stride: gates.columns },
    perElement(quads),
  );
}
