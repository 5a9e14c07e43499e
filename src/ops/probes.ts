/**
 * Probes: the ways in which one forward pass looks at the weights. The rows of a pass are split evenly among its
 * probes, and each probe sees the shared base weights plus its own small state (S matrices and 1-D parameters).
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Weight } from '../tensor/weight.ts';
import type { FactorStorage } from './factors.ts';

/** The low-rank change of one weight, ΔW = scale · U S Vᵀ (docs/method.md, "The factored form"). */
export interface LowRankFactors {
  rank: number;
  /**
   * Columns of U and rows of V behind those of the padded rank, a multiple of 4, that are a change of their own, U_bank
   * V_bank: what earlier periods have left. None if absent.
   */
  bank?: number;
  /** How U and V are stored; f32 if absent. */
  storage?: FactorStorage;
  /** U [rows, {@link factorWidth}], padding zero. */
  u: GpuBuffer;
  /** V transposed, [{@link factorWidth}, columns], padding rows zero: the rows of this buffer from `vRow` on. */
  vTransposed: GpuBuffer;
  /** Other than 0 where weights that read the same input have their V in one buffer, one below the other. */
  vRow: number;
  /** μ. */
  scale: number;
  /** Where S [rank, rank] starts in the state, in elements. */
  stateOffset: number;
}

/**
 * The factors of a stack of weights, which lie as those do: U of each `stride` rows behind that of the one before, V
 * {@link factorWidth} rows.
 */
export interface StackedFactors extends Omit<LowRankFactors, 'vRow' | 'stateOffset'> {
  /** Where the S of each weight starts in the state, u32; 2³² − 1 for a weight without a change. */
  stateOffsets: GpuBuffer;
}

/** The rank as kernels store it: a whole number of quads. */
export function paddedRank(rank: number): number {
  return Math.ceil(rank / 4) * 4;
}

/** Columns of U and rows of V as kernels have them. */
export function factorWidth({ rank, bank = 0 }: Pick<LowRankFactors, 'rank' | 'bank'>): number {
  return paddedRank(rank) + bank;
}

/** How noise becomes the direction of a step; see kernels/zo/direction.wgsl. */
export type DirectionKind = 'plain' | 'masked' | 'curved';

/** The number of a kind as kernels have it. */
export const directionNumber: Readonly<Record<DirectionKind, number>> = { plain: 0, masked: 1, curved: 2 };

/** What the direction of one weight depends on besides its noise. */
export interface DenseTensor {
  /** Identity for the random numbers. */
  tensor: number;
  /** Masked: the largest magnitude that trains. */
  threshold: number;
  /** Curved: ln H of each element, in the weight's shape. */
  logCurvature?: Weight;
}

/** One point that a step looks at: the parameters plus `scale` times the direction of a query. */
export interface ProbePoint {
  scale: number;
  query: number;
}

/** Dense noise on the 2-D weights (MeZO and its relatives), made as it is needed and never written into them. */
export interface DenseNoise {
  kind: DirectionKind;
  /** Philox key. */
  seed: readonly [number, number];
  step: number;
  /** The points of this pass, one per probe. */
  points: readonly ProbePoint[];
  /** (scale, query) of all points of the step on the GPU, and which of them is the first of this pass. */
  table: GpuBuffer;
  firstProbe: number;
  /** By weight name; a weight without an entry does not train and is read as it is stored. */
  tensors: ReadonlyMap<string, DenseTensor>;
  /** Where rows of perturbed weights are made, f32. */
  scratch: GpuBuffer;
}

/** LoRA beside one weight: + scale · (x Aᵀ) Bᵀ. */
export interface LoraPair {
  rank: number;
  /** α / rank. */
  scale: number;
  /** Names of A [rank, columns] and B [rows, rank]. */
  a: string;
  b: string;
  /**
   * DoRA: the name of the gains [rows], factors on x Wᵀ and on the pair's product, once they have been made of the
   * magnitudes (lora-gain.ts).
   */
  gain?: string;
}

/** Adapters of which each row of a pass has its own; the pass has one probe. */
export interface RowAdapters {
  /** The adapters, each as the probes of a pass that is all its own. */
  adapters: readonly Probes[];
  /** [adapters, rows] f32: the factor on each adapter's change for each row; 0 where the row is without it. */
  factors: GpuBuffer;
  /** The same for the rows that the pass ends with, its label rows. */
  labelFactors: GpuBuffer;
}

/**
 * What the forward pass does with the tensors that a scheme adds to the model; they are found by name as 1-D parameters
 * are.
 */
export interface AdapterShape {
  /** By weight name. */
  lora?: ReadonlyMap<string, LoraPair>;
  /** How many virtual tokens lead every sequence. */
  virtualTokens?: number;
  /** The tensor [virtual tokens, embedding width] of their embeddings. */
  prompt?: string;
  /** The tensors [virtual tokens, key width] of their keys and values in each layer. */
  prefix?: readonly { keys: string; values: string }[];
}

export interface Probes {
  /** How many; plain inference is one. */
  count: number;
  /**
   * Whether each probe has a pass's ids, positions, key ranges, label rows and runs for itself, those of one behind
   * those of another, as texts that are generated have; otherwise all share those of one.
   */
  ownInputs?: boolean;
  /** Every S and every 1-D parameter, f32, once per probe. */
  state: GpuBuffer;
  /** Elements from one probe's state to the next; 0 when all probes share one. */
  stateStride: number;
  /** Factors by weight name; a weight without an entry has no low-rank change. */
  factors: ReadonlyMap<string, LowRankFactors>;
  /** Those of stacks by the name of their first weight, besides. */
  stacks?: ReadonlyMap<string, StackedFactors>;
  /** Dense noise on the weights, besides the factors. */
  dense?: DenseNoise;
  /**
   * Factor on every base weight that has factors (decoupled weight decay since they were written last); 1 otherwise.
   */
  weightScale: number;
  /** Factor on every bank (decay since it took a period in last); 1 if absent. */
  bankScale?: number;
  /** Offsets of the 1-D parameters in the state by name, in elements. */
  vectors: ReadonlyMap<string, number>;
  /** 1-D parameters that do not train: one copy that all probes share. */
  frozen?: { state: GpuBuffer; vectors: ReadonlyMap<string, number> };
  /** What a scheme adds to the model. */
  adapter?: AdapterShape;
  /** Adapters of single rows, in the place of `adapter`. */
  rowAdapters?: RowAdapters;
  /** Its tensors, where the state holds only their S: made for each probe, `stride` elements apart. */
  made?: { buffer: GpuBuffer; stride: number; offsets: ReadonlyMap<string, number> };
}

/** Where a 1-D parameter or an adapter tensor lies: at `offset` + probe · `stride`, in elements. */
export interface VectorPlace {
  buffer: GpuBuffer;
  offset: number;
  stride: number;
}

/** Where the probes find a 1-D parameter or an adapter tensor; `undefined` if there is none of this name. */
export function vectorOf(probes: Probes, name: string | undefined): VectorPlace | undefined {
  if (name === undefined) return undefined;
  const offset = probes.vectors.get(name);
  if (offset !== undefined) return { buffer: probes.state, offset, stride: probes.stateStride };
  const made = probes.made?.offsets.get(name);
  if (made !== undefined) return { buffer: probes.made!.buffer, offset: made, stride: probes.made!.stride };
  const frozen = probes.frozen?.vectors.get(name);
  return frozen === undefined ? undefined : { buffer: probes.frozen!.state, offset: frozen, stride: 0 };
}

/**
 * How many of a pass's rows, of all probes, have an entry of their own in its arrays: row i reads entry i mod these.
 */
export function inputRows({ count, ownInputs }: Probes, rows: number): number {
  return ownInputs ? rows : rows / count;
}

/** The factor on a base weight. */
export function weightScaleOf(probes: Probes, name: string): number {
  return probes.factors.has(name) ? probes.weightScale : 1;
}
