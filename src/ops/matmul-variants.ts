/**
 * The variants of the matmul kernel and the choice among them.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import type { KernelConstant } from '../gpu/kernel.ts';
import { spread } from '../gpu/recorder.ts';
import { perElement } from './context.ts';

/** How the work of a matrix product is cut; see the heads of kernels/matmul/*.wgsl. */
export type MatmulVariant = 'naive' | 'direct' | 'few-rows' | 'tile-1x4' | 'tile-4x4' | 'tile-8x8';

/** All of them, for tests and benchmarks. */
export const matmulVariants: readonly MatmulVariant[] = [
  'naive',
  'direct',
  'few-rows',
  'tile-1x4',
  'tile-4x4',
  'tile-8x8',
];

interface VariantDescription {
  file: string;
  constants: Readonly<Record<string, KernelConstant>>;
  /** Rows of a workgroup's, or an invocation's, block: products cut between blocks have the same bits. */
  blockRows: number;
  /** Workgroups for a [rows, columns] result. */
  workgroups(rows: number, columns: number): [number, number];
}

/** Blocks of so many rows and columns, one workgroup each. */
function blocks(blockRows: number, blockColumns: number) {
  return (rows: number, columns: number): [number, number] =>
    spread(Math.ceil(rows / blockRows) * Math.ceil(columns / blockColumns));
}

function tile(threadRows: number, threadColumns: number): VariantDescription {
  return {
    file: 'tile',
    constants: { THREAD_ROWS: threadRows, THREAD_COLUMNS: threadColumns },
    blockRows: 16 * threadRows,
    workgroups: blocks(16 * threadRows, 16 * threadColumns),
  };
}

export const matmulDescriptions: Readonly<Record<MatmulVariant, VariantDescription>> = {
  naive: { file: 'naive', constants: {}, blockRows: 1, workgroups: (rows, columns) => perElement(rows * columns) },
  direct: {
    file: 'direct',
    constants: {},
    blockRows: 4,
    workgroups: (rows, columns) => perElement(Math.ceil(rows / 4) * Math.ceil(columns / 4)),
  },
  'few-rows': { file: 'few-rows', constants: {}, blockRows: 4, workgroups: blocks(4, 4) },
  'tile-1x4': tile(1, 4),
  'tile-4x4': tile(4, 4),
  'tile-8x8': tile(8, 8),
};

/** Workgroups below which a GPU with a hundred multiprocessors idles, so that smaller tiles win. */
const enoughWorkgroups = 256;

/**
 * The variant for a product of this shape on this adapter. Software adapters have no use for workgroup memory: there the direct
 * variant always wins.
 */
export function chooseMatmul(gpu: Gpu, rows: number, columns: number): MatmulVariant {
  if (gpu.kernelStyle === 'software') return 'direct';
  if (rows <= 4) return 'few-rows';
  if (rows <= 16) return 'tile-1x4';
  const [x, y] = matmulDescriptions['tile-8x8'].workgroups(rows, columns);
  return x * y >= enoughWorkgroups ? 'tile-8x8' : 'tile-4x4';
}
