/**
 * Probes: the ways in which one forward pass looks at the weights. The rows of a pass are split evenly among its probes, and each
 * probe sees the shared base weights plus its own small state (S matrices and 1-D parameters).
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';

/** The low-rank change of one weight, ΔW = scale · U S Vᵀ (methods.md, "The factored form"). */
export interface LowRankFactors {
  rank: number;
  /** U [rows, padded rank] f32, padding zero. */
  u: GpuBuffer;
  /** V transposed, [padded rank, columns] f32, padding rows zero. */
  vTransposed: GpuBuffer;
  /** μ. */
  scale: number;
  /** Where S [rank, rank] starts in the state, in elements. */
  stateOffset: number;
}

/** The rank as kernels store it: a whole number of quads. */
export function paddedRank(rank: number): number {
  return Math.ceil(rank / 4) * 4;
}

export interface Probes {
  /** How many; plain inference is one. */
  count: number;
  /** Every S and every 1-D parameter, f32, once per probe. */
  state: GpuBuffer;
  /** Elements from one probe's state to the next; 0 when all probes share one. */
  stateStride: number;
  /** Factors by weight name; a weight without an entry has no low-rank change. */
  factors: ReadonlyMap<string, LowRankFactors>;
  /** Factor on every base weight matrix (decoupled weight decay since the last fold); 1 otherwise. */
  weightScale: number;
  /** Offsets of the 1-D parameters in the state by name, in elements. */
  vectors: ReadonlyMap<string, number>;
}
