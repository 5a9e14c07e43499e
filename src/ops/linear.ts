/**
 * y = x Wᵀ + b with the low-rank change of each probe inside the same kernel: one of the three places where a delta is
 * seen.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement, spread } from '../gpu/workgroups.ts';
import { Memo } from '../memo.ts';
import { plainAxis } from '../tensor/axis.ts';
import type { Weight, WeightPart } from '../tensor/weight.ts';
import type { Activation } from '../tensor/workspace.ts';
import { codecFile, codecs, type Storage } from '../weights/index.ts';
import { activationNumber, type MatmulActivation } from './activation.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { perturbedWeight } from './dense.ts';
import { type FactorStorage, factorFile } from './factors.ts';
import { addLoras, lorasOf } from './lora.ts';
import { chooseMatmul } from './matmul-choice.ts';
import { planKey } from './matmul-plans.ts';
import {
  defaultFragment,
  defaultSubgroup,
  type MatmulPlan,
  matmulDescriptions,
  matmulFiles,
  sliceQuads,
} from './matmul-variants.ts';
import { padded } from './pad.ts';
import { factorWidth, type LowRankFactors, paddedRank, type VectorPlace, vectorOf, weightScaleOf } from './probes.ts';
import { add } from './rows.ts';

export interface MatmulFlags {
  storage: Storage;
  /** How U of a side product is stored; f32 if absent. */
  factors?: FactorStorage;
  activation: MatmulActivation;
  hasBias: boolean;
  accumulate: boolean;
}

const matmulDefinitions = new Memo<KernelDefinition>();
/** Those of plans that say how large the fragments of matrix units are. */
const fragmentDefinitions = new Memo<KernelDefinition>();
const reduceDefinitions = new Memo<KernelDefinition>();

/**
 * The kernel of a plan; of a sliced one, the kernel that makes the slices' sums, to which the flags do not apply yet.
 */
export function matmulKernel(plan: MatmulPlan, given: MatmulFlags): KernelDefinition {
  const sliced = plan.slices > 1;
  const flags = matmulDescriptions[plan.variant].accumulatesByParameter ? { ...given, accumulate: true } : given;
  const { activation, hasBias, accumulate } = sliced ? noEpilogue : flags;
  const keys = [plan.variant, flags.storage, flags.factors ?? 'f32', sliced, activation, hasBias, accumulate];
  if (!plan.fragment) return matmulDefinitions.get(keys, () => makeMatmulKernel(plan, flags));
  const { M, N, K, subgroup, sized } = plan.fragment;
  return fragmentDefinitions.get([...keys, M, N, K, subgroup, sized], () => makeMatmulKernel(plan, flags));
}

function makeMatmulKernel(plan: MatmulPlan, flags: MatmulFlags): KernelDefinition {
  const sliced = plan.slices > 1;
  const { files, constants } = matmulParts(plan, flags.storage, 'whole', flags.factors);
  return { files, constants: { ...constants, SLICED: sliced, ...epilogue(sliced ? noEpilogue : flags) } };
}

/** The kernel of a plan without slices and epilogue. @param rows which rows of W a row of x is multiplied with */
export function matmulParts(
  plan: MatmulPlan,
  storage: Storage,
  rows: 'whole' | 'grouped',
  factors: FactorStorage = 'f32',
): KernelDefinition {
  const { constants, fragments } = matmulDescriptions[plan.variant];
  const { M, N, K, subgroup = defaultSubgroup } = plan.fragment ?? defaultFragment;
  const fragment = { FRAGMENT_M: M, FRAGMENT_N: N, FRAGMENT_K: K, SUBGROUP: subgroup };
  return {
    files: [
      ...[codecFile(storage), factorFile[factors]],
      'activation.wgsl',
      'matmul/interface.wgsl',
      `matmul/${rows}.wgsl`,
      ...matmulFiles(plan, storage),
    ],
    constants: {
      ...constants,
      ...(fragments === undefined ? {} : { ...fragment, WEIGHT_IS_HALF: codecs[storage].halfExact }),
      SLICED: false,
      ...epilogue(noEpilogue),
    },
  };
}

/** The kernel that adds the slices' sums up. */
export function matmulReduceKernel(flags: Omit<MatmulFlags, 'storage' | 'factors'>): KernelDefinition {
  return reduceDefinitions.get([flags.activation, flags.hasBias, flags.accumulate], () => ({
    files: [
      'weights/f32.wgsl',
      factorFile.f32,
      'activation.wgsl',
      'matmul/interface.wgsl',
      'matmul/whole.wgsl',
      'matmul/reduce.wgsl',
    ],
    constants: { SLICED: false, ...epilogue(flags) },
  }));
}

const noEpilogue = { activation: 'none', hasBias: false, accumulate: false } as const;

function epilogue({ activation, hasBias, accumulate }: Omit<MatmulFlags, 'storage' | 'factors'>) {
  return { ACTIVATION: activationNumber[activation], HAS_BIAS: hasBias, ACCUMULATE: accumulate };
}

/** The low-rank side product of a launch. */
export interface SideProduct {
  /** Holds q [all rows, rank padded to quads] from element `start` on. */
  q: GpuBuffer;
  start: number;
  u: GpuBuffer;
  /** How U is stored; f32 if absent. */
  storage?: FactorStorage;
  rank: number;
}

/** One launch of a matmul kernel over rows of one part of a weight. */
export interface MatmulLaunch {
  x: Activation;
  /** The rows of x and y that this launch takes; all of x by default. */
  rowStart?: number;
  rows?: number;
  weight: Pick<WeightPart, 'buffer'>;
  /** Rows of the bound buffer and of the whole weight at which this launch begins, and how many it takes. */
  weightRow: number;
  outputRow: number;
  columns: number;
  side?: SideProduct;
  bias?: VectorPlace;
  y: GpuBuffer;
  yStride: number;
  columnStart: number;
  rowsPerProbe: number;
  weightScale: number;
  /**
   * Instead of the kernel that adds a sliced product's sums [slices, rows, columns] up to y; not called where the plan
   * has no slices.
   */
  addUp?: (sums: GpuBuffer, slices: number) => void;
}

/**
 * Records one matrix product; {@link linear} is the usual way to it.
 * @param plan for tests and benchmarks; chosen by shape and adapter otherwise
 */
export function matmul(
  context: Pick<OperationContext, 'gpu' | 'workspace' | 'plans'>,
  flags: MatmulFlags,
  launch: MatmulLaunch,
  plan: MatmulPlan = planOf(context, flags, launch),
): void {
  const { gpu, workspace } = context;
  const { x, side, bias, columns } = launch;
  const { workgroups, blockRows } = matmulDescriptions[plan.variant];
  const first = launch.rowStart ?? 0;
  const end = first + (launch.rows ?? x.rows);
  checkMultiple('matmul', 'the columns of x', x.columns, 4, 'what kernels read at once');
  if (end > x.rows) throw new Error(`matmul: rows ${first} to ${end} of x were asked for; it has ${x.rows}`);
  const innerQuads = x.columns / 4;
  const quads = sliceQuads(innerQuads, plan.slices);
  const slices = Math.ceil(innerQuads / quads);
  const kernel = gpu.kernel(matmulKernel(plan, side?.storage ? { ...flags, factors: side.storage } : flags));
  const biasBuffer = bias?.buffer ?? gpu.unused;
  const parameters = (start: number, rows: number) => ({
    row_start: start,
    rows,
    columns,
    inner_quads: innerQuads,
    rank_quads: side ? paddedRank(side.rank) / 4 : 0,
    q_start: side ? side.start / 4 : 0,
    weight_row: launch.weightRow,
    output_row: launch.outputRow,
    column_start: launch.columnStart,
    y_stride: launch.yStride,
    rows_per_probe: launch.rowsPerProbe,
    bias_offset: bias?.offset ?? 0,
    bias_stride: bias?.stride ?? 0,
    slice_quads: quads,
    weight_scale: launch.weightScale,
    accumulate: flags.accumulate ? 1 : 0,
  });
  const workOf = ([wide, high]: [number, number]): number => (wide * high * (x.columns + (side?.rank ?? 0))) / 64;
  const record = (start: number, rows: number, y: GpuBuffer): void => {
    const [wide, high] = workgroups(rows, columns, plan.fragment);
    gpu.recorder.dispatch(
      kernel,
      [x.buffer, launch.weight.buffer, side?.q ?? gpu.unused, side?.u ?? gpu.unused, biasBuffer, y],
      parameters(start, rows),
      [wide, high, slices],
      workOf([wide, high]),
    );
  };
  if (plan.slices > 1) {
    // Small by what slices are for; never worth several launches.
    const rows = end - first;
    const sums = workspace.takeElements(slices * rows * columns);
    record(first, rows, sums.buffer);
    if (launch.addUp) {
      launch.addUp(sums.buffer, slices);
    } else {
      gpu.recorder.dispatch(
        gpu.kernel(matmulReduceKernel(flags)),
        [sums.buffer, gpu.unused, gpu.unused, gpu.unused, biasBuffer, launch.y],
        { ...parameters(first, rows), inner_quads: slices, weight_scale: 1 },
        perElement(rows * columns),
      );
    }
    workspace.give(sums);
    return;
  }
  const launches = gpu.recorder.launches(kernel, workOf(workgroups(end - first, columns, plan.fragment)));
  const rowsAtOnce = Math.ceil((end - first) / launches / blockRows) * blockRows;
  for (let start = first; start < end; start += rowsAtOnce) {
    record(start, Math.min(rowsAtOnce, end - start), launch.y);
  }
}

function planOf(
  { gpu, plans }: Pick<OperationContext, 'gpu' | 'plans'>,
  { storage }: MatmulFlags,
  { x, rows = x.rows, columns }: Pick<MatmulLaunch, 'x' | 'rows' | 'columns'>,
): MatmulPlan {
  const shape = { rows, columns, innerQuads: x.columns / 4 };
  return (plans?.size ? plans.get(planKey({ ...shape, storage })) : undefined) ?? chooseMatmul(gpu, shape);
}

/** Records a product with a weight as the probe of each row sees it. @param launch over all rows of x */
export function product(context: OperationContext, weight: Weight, flags: MatmulFlags, launch: MatmulLaunch): void {
  const { dense } = context.probes;
  if (!dense?.tensors.has(weight.name)) {
    matmul(context, flags, launch);
    return;
  }
  for (const { storage, ...piece } of perturbedWeight(context.gpu, dense, weight, launch)) {
    matmul(context, { ...flags, storage }, { ...launch, ...piece });
  }
}

/** The kernels that bring xV into the coordinates of each U, from a product or from the sums of a sliced one. */
export const rotateKernels = {
  plain: { files: ['zo/rotate.wgsl', 'zo/rotate-plain.wgsl'] },
  slices: { files: ['zo/rotate.wgsl', 'zo/rotate-slices.wgsl'] },
} as const satisfies Record<string, KernelDefinition>;

/** The rows of x in the coordinates of each U, to be given back. */
export interface Projection {
  memory: Activation[];
  sides: Map<LowRankFactors, SideProduct>;
}

/** Most weights whose coordinates one launch of zo/rotate.wgsl makes. */
export const mostProjected = 3;

/**
 * Records q = μ · (x V) S_pᵀ [rows, padded rank], and behind it x V of a bank, for weights that are multiplied with the
 * same x: in two launches for all of them where their V lie one below the other.
 * @param spare memory that may be written meanwhile
 */
export function project(
  context: OperationContext,
  x: Activation,
  factors: readonly LowRankFactors[],
  spare?: Activation,
): Projection {
  const projection: Projection = { memory: [], sides: new Map() };
  for (let start = 0; start < factors.length; ) {
    let end = start + 1;
    while (end < factors.length && end < start + mostProjected && follows(factors[end - 1]!, factors[end]!)) end++;
    const members = factors.slice(start, end);
    const q = projectTogether(context, x, members, spare);
    projection.memory.push(q);
    let place = 0;
    for (const member of members) {
      const width = factorWidth(member);
      const storage = member.storage ? { storage: member.storage } : {};
      projection.sides.set(member, { q: q.buffer, start: place, u: member.u, ...storage, rank: width });
      place += x.rows * width;
    }
    start = end;
  }
  return projection;
}

/** Whether the V of `next` lies right below that of `factors`. */
function follows(factors: LowRankFactors, next: LowRankFactors): boolean {
  return (
    next.vTransposed === factors.vTransposed &&
    next.vRow === factors.vRow + factorWidth(factors) &&
    next.bank === factors.bank
  );
}

/** The q of each of the members, one after the other. */
function projectTogether(
  context: OperationContext,
  x: Activation,
  members: readonly LowRankFactors[],
  spare: Activation | undefined,
): Activation {
  const { gpu, workspace, probes } = context;
  const [first, second, third] = members;
  const width = members.reduce((sum, member) => sum + factorWidth(member), 0);
  const q = workspace.take(x.rows, width);
  const rotate = (t: GpuBuffer, slices: number): void => {
    const rowsPerProbe = x.rows / probes.count;
    const blocksPerProbe = Math.ceil(rowsPerProbe / 4);
    const blocks = probes.count * blocksPerProbe;
    gpu.recorder.dispatch(
      gpu.kernel(slices > 1 ? rotateKernels.slices : rotateKernels.plain),
      [t, probes.state, q.buffer],
      {
        rows: x.rows,
        rows_per_probe: rowsPerProbe,
        blocks,
        state_stride: probes.stateStride,
        slices,
        bank_quads: (first!.bank ?? 0) / 4,
        bank_scale: probes.bankScale ?? 1,
        rank_0: first!.rank,
        rank_1: second?.rank ?? 0,
        rank_2: third?.rank ?? 0,
        state_offset_0: first!.stateOffset,
        state_offset_1: second?.stateOffset ?? 0,
        state_offset_2: third?.stateOffset ?? 0,
        scale_0: first!.scale,
        scale_1: second?.scale ?? 0,
        scale_2: third?.scale ?? 0,
      },
      slices > 1 ? spread(blocks) : perElement(blocks * width),
    );
  };
  const { storage = 'f32' } = first!;
  const flags = { storage, activation: 'none', hasBias: false, accumulate: false } as const;
  const product = { x, weight: { buffer: first!.vTransposed }, weightRow: first!.vRow, outputRow: 0, columns: width };
  const plan = planOf(context, flags, product);
  const launch = { ...product, yStride: width, columnStart: 0, rowsPerProbe: x.rows, weightScale: 1 };
  if (plan.slices > 1) {
    matmul(context, flags, { ...launch, y: q.buffer, addUp: rotate }, plan);
    return q;
  }
  const own = spare && spare.columns >= width ? undefined : workspace.take(x.rows, width);
  const t = (own ?? spare!).buffer;
  matmul(context, flags, { ...launch, y: t }, plan);
  rotate(t, 1);
  if (own) workspace.give(own);
  return q;
}

export interface LinearOptions {
  /** Name of the bias, a 1-D parameter; none if the model has no such parameter. */
  bias?: string;
  activation?: MatmulActivation;
  /** Add to this activation instead of making a new one. */
  addTo?: Activation;
}

/** One of several linear layers over the same x. */
export interface LinearLayer extends LinearOptions {
  /** [out features, in features] */
  weight: Weight;
}

/**
 * y = activation(x (W + ΔW_p)ᵀ + b_p), plus the LoRA of the weight inside the activation, for the probe p of each row.
 *
 * @param x [rows, in features]
 * @param weight [out features, in features]
 * @returns [rows, out features]: a new activation, or `addTo`
 */
export function linear(
  context: OperationContext,
  x: Activation,
  weight: Weight,
  options: LinearOptions = {},
): Activation {
  return linears(context, x, [{ ...options, weight }])[0]!;
}

/**
 * {@link linear} for several layers that read the same x, which share what they can.
 * @returns one activation for each
 */
export function linears(context: OperationContext, x: Activation, layers: readonly LinearLayer[]): Activation[] {
  const { workspace, probes } = context;
  const results = layers.map(({ weight, addTo }) => addTo ?? workspace.take(x.rows, weight.rows));
  const factors = layers.flatMap(({ weight }) => probes.factors.get(weight.name) ?? []);
  // The last result is written when nothing of the projection but q is read any more.
  const spare = layers.at(-1)!.addTo ? undefined : results.at(-1);
  const { memory, sides } = project(context, x, factors, spare);
  for (const [index, layer] of layers.entries()) recordLayer(context, x, layer, results[index]!, sides);
  workspace.give(...memory);
  return results;
}

function recordLayer(
  context: OperationContext,
  x: Activation,
  layer: LinearLayer,
  y: Activation,
  sides: Projection['sides'],
): void {
  const { probes } = context;
  const { weight, addTo, activation = 'none' } = layer;
  const factors = probes.factors.get(weight.name);
  const side = factors && sides.get(factors);
  const plain = vectorOf(probes, layer.bias);
  const { place: bias, memory } =
    plain && weight.layout
      ? padded(context, plain, { rows: plainAxis(1), columns: weight.layout.rows })
      : { place: plain, memory: [] };
  const loras = lorasOf(probes, weight.name);
  const hasPair = loras.length > 0;
  checkShape('linear', `x for ${weight.name}`, x, x.rows, weight.columns);
  checkMultiple('linear', 'rows', x.rows, probes.count, 'the number of probes');
  if (addTo) checkShape('linear', `the sum of ${weight.name}`, addTo, x.rows, weight.rows);
  if (hasPair && addTo && activation !== 'none') throw new Error('LoRA inside a sum behind an activation');
  // What has gains is made by itself, as they are no factors on the sum.
  if (addTo && loras.some(({ pair }) => pair.gain !== undefined)) {
    const given = context.workspace.take(x.rows, weight.rows);
    const { addTo: _, ...own } = layer;
    recordLayer(context, x, own, given, sides);
    add(context, y, given);
    context.workspace.give(given, ...memory);
    return;
  }
  for (const part of weight.parts) {
    product(
      context,
      weight,
      {
        storage: weight.storage,
        activation: hasPair ? 'none' : activation,
        hasBias: bias !== undefined,
        accumulate: addTo !== undefined,
      },
      {
        x,
        weight: part,
        weightRow: 0,
        outputRow: part.rowStart,
        columns: part.rowCount,
        ...(side ? { side } : {}),
        ...(bias ? { bias } : {}),
        y: y.buffer,
        yStride: weight.rows,
        columnStart: part.rowStart,
        rowsPerProbe: x.rows / probes.count,
        weightScale: weightScaleOf(probes, weight.name),
      },
    );
  }
  addLoras(context, x, loras, y, { activation, layout: weight.layout, bias });
  context.workspace.give(...memory);
}
