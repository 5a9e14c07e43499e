/**
 * The variants of the matmul kernel.
 *
 * @module
 */

import type { KernelConstant } from '../gpu/kernel.ts';
import { perElement, spread } from '../gpu/workgroups.ts';
import { isPlain, type Storage } from '../weights/index.ts';

/** How the work of a matrix product is cut; see the heads of kernels/matmul/*.wgsl. */
export type MatmulVariant =
  | 'naive'
  | 'direct'
  | 'subgroup-1'
  | 'subgroup-8'
  | 'subgroup-32'
  | 'four-lanes-1'
  | 'four-lanes-8'
  | 'four-lanes-16'
  | 'one-row'
  | 'few-rows'
  | 'tile-1x4'
  | 'tile-4x4'
  | 'tile-8x8'
  | 'matrix-2x2'
  | 'matrix-4x4'
  | 'half-2x2'
  | 'half-4x4'
  | 'emulated-2x2'
  | 'emulated-half-2x2';

/** The shape that a subgroup's matrix units multiply at once: [M × K] · [K × N]. */
export interface MatrixFragment {
  M: number;
  N: number;
  K: number;
  /** Invocations of a subgroup; 32 where it is left out. */
  subgroup?: number;
  /** Whether kernels must ask for subgroups of this size, since the adapter has several. */
  sized?: boolean;
}

/** Everything that decides which kernel makes a matrix product. */
export interface MatmulPlan {
  variant: MatmulVariant;
  /** Parts of the inner dimension that are worked on side by side and added up by a second kernel; 1 = none. */
  slices: number;
  /** The size that matrix units multiply at; absent from variants that use none. */
  fragment?: MatrixFragment;
}

interface VariantDescription {
  /** In front of matmul/interface.wgsl come the storage type's functions. */
  files: readonly string[];
  /**
   * Where the loop over the inner dimension is a file by itself, its name without what it goes by: quads, or runs of
   * eight where W is stored in blocks.
   */
  loop?: string;
  /** Whether the inner dimension can be cut. */
  sliceable: boolean;
  constants: Readonly<Record<string, KernelConstant>>;
  /** Rows of a workgroup's, or an invocation's, block: products cut between blocks have the same bits. */
  blockRows: number;
  /** Fragments per row and column of a subgroup; of the variants that want a {@link MatrixFragment}. */
  fragments?: number;
  /** Whether one kernel serves products that are added to y and those that are not. */
  accumulatesByParameter?: boolean;
  /** Invocations of the subgroups that share its operands. */
  lanes?: SharedLanes;
  /** Workgroups for a [rows, columns] result. */
  workgroups(rows: number, columns: number, fragment?: MatrixFragment): [number, number];
}

/** Blocks of so many rows and columns, one workgroup each. */
function blocks(blockRows: number, blockColumns: number) {
  return (rows: number, columns: number): [number, number] =>
    spread(Math.ceil(rows / blockRows) * Math.ceil(columns / blockColumns));
}

function tile(threadRows: number, threadColumns: number): VariantDescription {
  return {
    files: ['matmul/tile.wgsl'],
    sliceable: true,
    constants: { THREAD_ROWS: threadRows, THREAD_COLUMNS: threadColumns },
    blockRows: 16 * threadRows,
    workgroups: blocks(16 * threadRows, 16 * threadColumns),
  };
}

/** @param rows that a subgroup takes: one, two or four for each lane; see kernels/matmul/subgroup.wgsl */
function subgroup(lanes: SharedLanes, rows: number): VariantDescription {
  return {
    files: ['subgroup-sums.wgsl', 'matmul/subgroup.wgsl'],
    loop: 'subgroup',
    sliceable: false,
    constants: { LANES: lanes, BLOCKS: rows / lanes },
    // Large products are a tenth slower where the kernel reads y at all.
    accumulatesByParameter: rows === 8,
    lanes,
    blockRows: rows,
    workgroups: blocks(rows, 4 * lanes),
  };
}

/** See kernels/matmul/subgroup-row.wgsl. */
function subgroupRow(lanes: SharedLanes): VariantDescription {
  return {
    files: ['matmul/subgroup-row.wgsl'],
    loop: 'subgroup-row',
    sliceable: false,
    constants: { LANES: lanes },
    accumulatesByParameter: true,
    lanes,
    blockRows: 1,
    workgroups: blocks(1, lanes),
  };
}

function fewRows(rows: number): VariantDescription {
  return {
    files: ['matmul/few-rows.wgsl'],
    sliceable: true,
    constants: { ROWS: rows },
    blockRows: rows,
    workgroups: blocks(rows, 4),
  };
}

/**
 * @param fragments per row and column of a subgroup, four of which make a workgroup
 * @param split whether operands keep 22 bits, for two multiplications instead of one, or are rounded to f16
 */
function matrix(fragments: number, split: boolean, units: 'units' | 'emulated' = 'units'): VariantDescription {
  return {
    files: ['matmul/matrix.wgsl', `matmul/matrix-${units}.wgsl`],
    sliceable: true,
    constants: { FRAGMENTS: fragments, SPLIT: split },
    fragments,
    // Fragments have 16 rows at most.
    blockRows: 2 * fragments * 16,
    workgroups: (rows, columns, { M, N } = defaultFragment) =>
      blocks(2 * fragments * M, 2 * fragments * N)(rows, columns),
  };
}

/** What NVIDIA's matrix units have. */
export const defaultFragment: MatrixFragment = { M: 16, N: 16, K: 16 };

/** Invocations of a subgroup where a {@link MatrixFragment} does not say. */
export const defaultSubgroup = 32;

/** Subgroups that make a tile together; see kernels/matmul/matrix.wgsl. */
export const subgroupsOfTile = 4;

/**
 * Invocations of the subgroups that some variants are written for: those of software adapters with vectors of 256 bits
 * (`subgroup-…`) or of 128 (`four-lanes-…`).
 */
export type SharedLanes = 4 | 8;

export const matmulDescriptions: Readonly<Record<MatmulVariant, VariantDescription>> = {
  naive: {
    files: ['matmul/naive.wgsl'],
    sliceable: false,
    constants: {},
    blockRows: 1,
    workgroups: (rows, columns) => perElement(rows * columns),
  },
  direct: {
    files: ['matmul/direct.wgsl'],
    sliceable: false,
    constants: {},
    blockRows: 4,
    workgroups: (rows, columns) => perElement(Math.ceil(rows / 4) * Math.ceil(columns / 4)),
  },
  'subgroup-1': subgroupRow(8),
  'subgroup-8': subgroup(8, 8),
  'subgroup-32': subgroup(8, 32),
  'four-lanes-1': subgroupRow(4),
  'four-lanes-8': subgroup(4, 8),
  'four-lanes-16': subgroup(4, 16),
  'one-row': fewRows(1),
  'few-rows': fewRows(4),
  'tile-1x4': tile(1, 4),
  'tile-4x4': tile(4, 4),
  'tile-8x8': tile(8, 8),
  'matrix-2x2': matrix(2, true),
  'matrix-4x4': matrix(4, true),
  'half-2x2': matrix(2, false),
  'half-4x4': matrix(4, false),
  'emulated-2x2': matrix(2, true, 'emulated'),
  'emulated-half-2x2': matrix(2, false, 'emulated'),
};

/** Rows of the blocks that a plan's kernel takes by themselves. */
export function blockRowsOf({ variant, fragment = defaultFragment }: MatmulPlan): number {
  const { blockRows, fragments } = matmulDescriptions[variant];
  return fragments === undefined ? blockRows : 2 * fragments * fragment.M;
}

/** Whether only adapters with matrix units can run it. */
function needsUnits(variant: MatmulVariant): boolean {
  const { fragments } = matmulDescriptions[variant];
  return fragments !== undefined && !variant.startsWith('emulated');
}

/** The variant of so many fragments for matrix units. @param half whether operands are rounded to f16 */
export function matrixVariant(fragments: 2 | 4, half: boolean): MatmulVariant {
  if (half) return fragments === 4 ? 'half-4x4' : 'half-2x2';
  return fragments === 4 ? 'matrix-4x4' : 'matrix-2x2';
}

/** The files of a plan's kernel behind matmul/interface.wgsl. */
export function matmulFiles({ variant, fragment }: MatmulPlan, storage: Storage): readonly string[] {
  const { files, loop } = matmulDescriptions[variant];
  if (loop !== undefined) return [...files, `matmul/${loop}-${isPlain(storage) ? 'quads' : 'runs'}.wgsl`];
  if (!needsUnits(variant)) return files;
  return [...files, `matmul/matrix-main${fragment?.sized ? '-sized' : ''}.wgsl`];
}

/** Those that every adapter can run, for tests and benchmarks. */
export const matmulVariants = (Object.keys(matmulDescriptions) as MatmulVariant[]).filter(
  (variant) => !needsUnits(variant) && !matmulDescriptions[variant].lanes,
);

/** Those for subgroups of some size. */
export const subgroupVariants = (Object.keys(matmulDescriptions) as MatmulVariant[]).filter(
  (variant) => matmulDescriptions[variant].lanes,
);

/** Quads of the inner dimension that one slice takes: whole steps of the tiled variants. */
export function sliceQuads(innerQuads: number, slices: number): number {
  return Math.ceil(innerQuads / slices / 4) * 4;
}

/** Bytes of workgroup memory of a variant for matrix units, split or not; see kernels/matmul/matrix.wgsl. */
export function matrixWorkgroupBytes(fragments: number, { M, N }: MatrixFragment): number {
  // Two parts of 16 elements and padding; one of 32 takes less.
  const row = 2 * (16 + 8);
  return 2 * row * 2 * fragments * (M + N) + 4 * subgroupsOfTile * M * N;
}
