/**
 * The low-rank change of one matrix that trains: its place, its identity and its factors.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type FactorStorage, factorBytes } from '../ops/factors.ts';
import { mostProjected } from '../ops/linear.ts';
import { factorWidth, type LowRankFactors } from '../ops/probes.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import type { Layout } from '../tensor/axis.ts';
import { shapeOf } from '../tensor/weight.ts';

export interface Subspace {
  /** Identity for the random numbers. */
  tensor: number;
  rows: number;
  columns: number;
  /** How U and V are stored, where some of their rows only pad them. */
  layout?: Layout;
  factors: LowRankFactors;
}

/** The rank of the change of a matrix: what the configuration says, or its smaller side. */
export function rankOf(configuration: Pick<TrainConfiguration, 'rank'>, rows: number, columns: number): number {
  return Math.min(configuration.rank, rows, columns);
}

/** The part of a matrix's factors that keeps what earlier periods have left. */
export interface BankShape {
  /** Columns, a multiple of 4. */
  columns: number;
  /** How the factors of a matrix with a bank are stored. */
  storage: FactorStorage;
}

/** Most columns of the factors that share a buffer; kernels/zo/rotate-slices.wgsl has room for so many. */
const mostWidth = 768;

/** Where V of a matrix lies, transposed: from this row of the buffer on. */
export interface FactorPlace {
  buffer: GpuBuffer;
  row: number;
  /** Where U lies, where it is not in a buffer of its own. */
  u?: GpuBuffer;
}

/** What {@link placeTogether} needs to know of a matrix. */
export interface MatrixShape {
  name: string;
  rows: number;
  columns: number;
  /** The layout of a matrix with pads, which `rows` and `columns` count. */
  layout?: Layout;
}

/**
 * Reserves the V of matrices that are multiplied with the same input, one below the other in one buffer, so that a pass
 * multiplies with all of them at once.
 *
 * @param matrices in the order in which passes have them
 * @param mostColumns what the product with a buffer may have at most
 * @param bank beside each matrix
 * @returns places by name; a matrix that shares with none has none
 */
export function placeTogether(
  gpu: Gpu,
  configuration: Pick<TrainConfiguration, 'rank'>,
  matrices: readonly MatrixShape[],
  mostColumns: number,
  bank?: BankShape,
): Map<string, FactorPlace> {
  const places = new Map<string, FactorPlace>();
  const widthOf = (matrix: MatrixShape): number =>
    factorWidth({ rank: rankOf(configuration, ...shapeOf(matrix)), bank: bank?.columns ?? 0 });
  const unit = factorBytes[bank?.storage ?? 'f32'];
  const columns = matrices[0]?.columns ?? 0;
  const most = Math.min(mostColumns, mostWidth, Math.floor(gpu.bindingLimit / unit / columns));
  for (let start = 0; start < matrices.length; ) {
    let width = widthOf(matrices[start]!);
    let end = start + 1;
    while (end < matrices.length && end < start + mostProjected && width + widthOf(matrices[end]!) <= most)
      width += widthOf(matrices[end++]!);
    const members = matrices.slice(start, end);
    start = end;
    if (members.length === 1) continue;
    const label = `V of ${members.map(({ name }) => name).join(', ')}`;
    const buffer = gpu.allocate(columns * width * unit, 'factors', label);
    let row = 0;
    for (const member of members) {
      places.set(member.name, { buffer, row });
      row += widthOf(member);
    }
  }
  return places;
}

/**
 * Reserves U and V, which are drawn later.
 * @param entry where S lies in the state, and the identity
 * @param place of V, and perhaps U, where it is not in a buffer of its own
 * @param bank beside the matrix
 */
export function allocateSubspace(
  gpu: Gpu,
  configuration: Pick<TrainConfiguration, 'rank' | 'normAlignment'>,
  entry: { name: string; tensor: number; offset: number },
  matrix: Omit<MatrixShape, 'name'>,
  place?: FactorPlace,
  bank?: BankShape,
): Subspace {
  const [rows, columns] = shapeOf(matrix);
  const rank = rankOf(configuration, rows, columns);
  const width = factorWidth({ rank, bank: bank?.columns ?? 0 });
  const unit = factorBytes[bank?.storage ?? 'f32'];
  const factors: LowRankFactors = {
    rank,
    ...(bank ? { bank: bank.columns } : {}),
    ...(bank && bank.storage !== 'f32' ? { storage: bank.storage } : {}),
    u: place?.u ?? gpu.allocate(matrix.rows * width * unit, 'factors', `U of ${entry.name}`),
    vTransposed: place?.buffer ?? gpu.allocate(matrix.columns * width * unit, 'factors', `V of ${entry.name}`),
    vRow: place?.row ?? 0,
    scale: configuration.normAlignment ? Math.sqrt(rows * columns) / rank : 1,
    stateOffset: entry.offset,
  };
  const { layout } = matrix;
  return { tensor: entry.tensor, rows, columns, ...(layout ? { layout } : {}), factors };
}
