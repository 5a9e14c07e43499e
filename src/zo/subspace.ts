/**
 * The low-rank change of one matrix that trains: its place, its identity and its factors.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { type LowRankFactors, paddedRank } from '../ops/probes.ts';
import type { TrainConfiguration } from '../train/configuration.ts';

export interface Subspace {
  /** Identity for the random numbers. */
  tensor: number;
  rows: number;
  columns: number;
  factors: LowRankFactors;
}

/** The rank of the change of a matrix: what the configuration says, or its smaller side. */
export function rankOf(configuration: Pick<TrainConfiguration, 'rank'>, rows: number, columns: number): number {
  return Math.min(configuration.rank, rows, columns);
}

/** Reserves U and V, which are drawn later. @param entry where S lies in the state, and the identity */
export function allocateSubspace(
  gpu: Gpu,
  configuration: Pick<TrainConfiguration, 'rank' | 'normAlignment'>,
  entry: { name: string; tensor: number; offset: number },
  rows: number,
  columns: number,
): Subspace {
  const rank = rankOf(configuration, rows, columns);
  const width = paddedRank(rank);
  const factors: LowRankFactors = {
    rank,
    u: gpu.allocate(rows * width * 4, 'factors', `U of ${entry.name}`),
    vTransposed: gpu.allocate(columns * width * 4, 'factors', `V of ${entry.name}`),
    scale: configuration.normAlignment ? Math.sqrt(rows * columns) / rank : 1,
    stateOffset: entry.offset,
  };
  return { tensor: entry.tensor, rows, columns, factors };
}
