/**
 * Which variant of the matmul kernel a product of some shape gets on this adapter.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import {
  defaultSubgroup,
  type MatmulPlan,
  type MatmulVariant,
  type MatrixFragment,
  matmulDescriptions,
  matrixVariant,
  matrixWorkgroupBytes,
  type SharedLanes,
  subgroupsOfTile,
} from './matmul-variants.ts';

/** Workgroups below which a GPU with a hundred multiprocessors idles, so that smaller tiles or slices win. */
const enoughWorkgroups = 256;

/** Fewest quads of the inner dimension that are worth a slice of their own. */
const leastSliceQuads = 64;

const mostSlices = 16;

/** Rows from which blocks of four rows a lane win over blocks of 8 rows where subgroups share operands. */
export const leastRowsOfLargeBlocks: Readonly<Record<SharedLanes, number>> = { 8: 24, 4: 12 };

/** The variants for subgroups of a size: for one row, for few, and for at least {@link leastRowsOfLargeBlocks}. */
const sharingVariants: Readonly<Record<SharedLanes, { one: MatmulVariant; few: MatmulVariant; many: MatmulVariant }>> =
  {
    8: { one: 'subgroup-1', few: 'subgroup-8', many: 'subgroup-32' },
    4: { one: 'four-lanes-1', few: 'four-lanes-8', many: 'four-lanes-16' },
  };

/** The shape of a product. */
export interface MatmulShape {
  rows: number;
  columns: number;
  innerQuads: number;
}

/** Whose matrix units they are: a device, or what is known of one. */
type UnitsOwner = Pick<Gpu, 'adapter' | 'features'> & {
  device: { limits: Pick<GPUSupportedLimits, 'maxComputeInvocationsPerWorkgroup' | 'maxComputeWorkgroupStorageSize'> };
};

/**
 * The fragment that this adapter's matrix units multiply in f16 with f32 sums, if they can be used.
 * @param fragments per row and column of a subgroup, see {@link matrixWorkgroupBytes}
 */
export function matrixFragment(gpu: UnitsOwner, fragments: number): MatrixFragment | undefined {
  let known = fragmentsOf.get(gpu);
  if (!known) {
    known = new Map();
    fragmentsOf.set(gpu, known);
  }
  // Asked for every product of every pass.
  if (!known.has(fragments)) known.set(fragments, findFragment(gpu, fragments));
  return known.get(fragments);
}

const fragmentsOf = new WeakMap<UnitsOwner, Map<number, MatrixFragment | undefined>>();

function findFragment(gpu: UnitsOwner, fragments: number): MatrixFragment | undefined {
  const { adapter, features, device } = gpu;
  // The smallest of several sizes is taken: Intel's matrix units work at that one only, AMD's at the other as well.
  const [subgroup, most] = adapter.subgroupSizes;
  const sized = most !== subgroup;
  const needed = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'];
  if (sized) needed.push('subgroup-size-control');
  if (subgroup === 0 || !needed.every((feature) => features.has(feature))) return undefined;
  const invocations = subgroupsOfTile * subgroup;
  // Dawn wants the latter.
  if (invocations > device.limits.maxComputeInvocationsPerWorkgroup || invocations % most !== 0) return undefined;
  const fitting = adapter.subgroupMatrixConfigs.filter(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f16' &&
      resultComponentType === 'f32' &&
      16 % K === 0 &&
      matrixWorkgroupBytes(fragments, { M, N, K }) <= device.limits.maxComputeWorkgroupStorageSize,
  );
  // The squarest and largest: fewest loads for each multiplication.
  const [best] = fitting.sort((a, b) => (b.M * b.N) / (b.M + b.N) - (a.M * a.N) / (a.M + a.N));
  if (!best) return undefined;
  const { M, N, K } = best;
  return { M, N, K, ...(subgroup === defaultSubgroup ? {} : { subgroup }), ...(sized ? { sized } : {}) };
}

/** The lanes that share operands where kernels of software adapters do so: all subgroups have this one size. */
export function sharedLanes({ adapter, features }: Pick<Gpu, 'adapter' | 'features'>): SharedLanes | undefined {
  const [least, most] = adapter.subgroupSizes;
  return features.has('subgroups') && least === most && (least === 4 || least === 8) ? least : undefined;
}

/** The variants of operations other than products that share what they load, by the lanes of their subgroups. */
export const sharingLanes = { subgroup: 8, 'four-lanes': 4 } as const satisfies Record<string, SharedLanes>;

export type SharingVariant = keyof typeof sharingLanes;

/** The one for this adapter. */
export function sharingVariant(gpu: Pick<Gpu, 'adapter' | 'features'>): SharingVariant | undefined {
  const lanes = sharedLanes(gpu);
  return lanes && (lanes === 4 ? 'four-lanes' : 'subgroup');
}

/**
 * Software adapters have no use for workgroup memory. Their variants add in the same order, so all of them give the
 * same bits.
 */
function softwareVariant(gpu: Gpu, rows: number): MatmulVariant {
  const lanes = sharedLanes(gpu);
  if (!lanes) return 'direct';
  const { one, few, many } = sharingVariants[lanes];
  return rows >= leastRowsOfLargeBlocks[lanes] ? many : rows > 1 ? few : one;
}

/** The plan for a product of this shape on this adapter. */
export function chooseMatmul(gpu: Gpu, shape: MatmulShape): MatmulPlan {
  if (gpu.kernelStyle === 'software') return { variant: softwareVariant(gpu, shape.rows), slices: 1 };
  const { rows, columns } = shape;
  const count = (variant: MatmulVariant, fragment?: MatrixFragment): number => {
    const [x, y] = matmulDescriptions[variant].workgroups(rows, columns, fragment);
    return x * y;
  };
  const sliced = (variant: MatmulVariant, fragment?: MatrixFragment): MatmulPlan => ({
    variant,
    slices: chooseSlices(count(variant, fragment), shape.innerQuads),
    ...(fragment ? { fragment } : {}),
  });
  if (rows === 1) return sliced('one-row');
  if (rows <= 4) return sliced('few-rows');
  if (rows <= 16) return sliced('tile-1x4');
  const [large, small] = [matrixFragment(gpu, 4), matrixFragment(gpu, 2)];
  const half = gpu.arithmetic === 'half';
  const largeVariant = matrixVariant(4, half);
  if (large && count(largeVariant, large) >= enoughWorkgroups) return sliced(largeVariant, large);
  if (small) return sliced(matrixVariant(2, half), small);
  return sliced(count('tile-8x8') >= enoughWorkgroups ? 'tile-8x8' : 'tile-4x4');
}

/**
 * The plan for products of rows in groups, each with a matrix of its own.
 * @param rows of a group, on average
 */
export function chooseGrouped(gpu: Gpu, rows: number): MatmulPlan {
  const plan = (variant: MatmulVariant): MatmulPlan => ({ variant, slices: 1 });
  if (gpu.kernelStyle === 'software') return plan(softwareVariant(gpu, rows));
  if (rows <= 1) return plan('one-row');
  if (rows <= 4) return plan('few-rows');
  if (rows <= 16) return plan('tile-1x4');
  const small = matrixFragment(gpu, 2);
  return small ? { ...plan(matrixVariant(2, gpu.arithmetic === 'half')), fragment: small } : plan('tile-4x4');
}

/** The number of slices, a power of two, that gives every multiprocessor something to do. */
export function chooseSlices(workgroups: number, innerQuads: number): number {
  let slices = 1;
  while (
    slices < mostSlices &&
    2 * workgroups * slices <= enoughWorkgroups &&
    innerQuads >= 2 * slices * leastSliceQuads
  ) {
    slices *= 2;
  }
  return slices;
}
