/**
 * The description of a decoder: what its layers are made of and which tensors of the checkpoint they read. A family
 * (families/) makes it from config.json; parameters, the forward pass, LoRA and exports walk over it.
 *
 * @module
 */

import type { MatmulActivation } from '../ops/activation.ts';
import type { PackedOrder } from '../ops/split.ts';
import { type Axis, plainAxis, quadAxis } from '../tensor/axis.ts';
import type { RopePosition } from './rope-table.ts';

/** A matrix of the checkpoint. */
export interface Matrix {
  /** The module's name: that of the tensor without `.weight`. */
  name: string;
  /** The tensor's name. */
  weight: string;
  /** How its sides are stored: out features and in features, or entries of a table and their elements. */
  rows: Axis;
  columns: Axis;
  /** The checkpoint has the matrix the other way round, [in features, out features]. */
  transposed?: true;
}

/** A linear layer. */
export interface Linear extends Matrix {
  /** Name of the bias; absent from layers that have none. */
  bias?: string;
}

/** A norm over groups of elements that lie one after the other. */
export interface Norm {
  name: string;
  kind: 'rms' | 'layer';
  epsilon: number;
  /** Elements of a group. */
  width: number;
  /** Names of the elementwise parameters; a LayerNorm may lack either, an RMSNorm has no shift. */
  gain?: string;
  shift?: string;
}

/** The norms around a sublayer, whose result is added to what it came from. */
interface SublayerNorms {
  /** The norm of what the sublayer reads. */
  before?: Norm;
  /** The norm of what the sublayer gives, before it is added. */
  after?: Norm;
  /** The norm of the sum that the next sublayer reads. */
  ofSum?: Norm;
}

/** Queries, keys and values by a linear layer each. */
interface SeparateProjections {
  query: Linear;
  key: Linear;
  value: Linear;
}

/** Queries, keys and values by one linear layer, whose rows are heads in a certain order. */
interface PackedProjections {
  packed: Linear;
  order: PackedOrder;
}

interface AttentionParts extends SublayerNorms {
  kind: 'attention';
  output: Linear;
  /** The norms of queries and keys, before they are turned by their positions. */
  queryNorm?: Norm;
  keyNorm?: Norm;
  heads: number;
  keyHeads: number;
  headWidth: number;
  /** How queries and keys are turned by their positions; absent where they are not. Layers share the object. */
  rotation?: RopePosition;
  /** Keys that it sees, counted from the token itself in each direction that it looks in; all if absent. */
  window?: number;
}

/** Every token's mean of the values of those that it sees. */
export type AttentionSublayer = AttentionParts & (SeparateProjections | PackedProjections);

interface FeedForwardParts extends SublayerNorms {
  kind: 'feed-forward';
  down: Linear;
  /** The activation of the gate where there is one, of `up` otherwise. */
  activation: MatmulActivation;
}

/**
 * Two linear layers with an activation between them, or one of them gated by a third; `packed` is the gate's rows, then
 * those of `up`.
 */
export type FeedForwardSublayer = FeedForwardParts & ({ gate?: Linear; up: Linear } | { packed: Linear });

/** A sublayer that adds what it makes of one text to the sum. */
export type MemberSublayer = AttentionSublayer | FeedForwardSublayer;

/**
 * Sublayers that read the same sum, to which all of them are added: through one norm for all, or through a norm of each.
 */
export interface ParallelSublayer {
  kind: 'parallel';
  before?: Norm;
  members: readonly MemberSublayer[];
}

export type Sublayer = MemberSublayer | ParallelSublayer;

/** A table whose row of a token's position, so many rows further on, is added to its embedding. */
export interface LearnedPosition {
  kind: 'learned';
  table: Matrix;
  offset: number;
  /** The id of the padding token, where such tokens have no position of their own and cannot be part of a text. */
  padding?: number;
}

/**
 * Which tokens a token sees: itself and those before it, or all tokens of its sequence, as in masked language models,
 * which predict a token at its own place and cannot generate a text.
 */
export type AttentionMask = 'causal' | 'bidirectional';

/** What becomes of a hidden state before the logits are made of it. */
export interface HeadTransform {
  dense: Linear;
  activation: MatmulActivation;
  norm: Norm;
}

/** The output head. */
export interface Head extends Linear {
  /** Where it is tied the embedding takes its place, and a file may hold it under the head's name. */
  tied: boolean;
  transform?: HeadTransform;
}

export interface Decoder {
  /** The model type. */
  architecture: string;
  vocabularySize: number;
  /** Most tokens of a sequence. */
  contextLength: number;
  /** `causal` if absent. */
  mask?: AttentionMask;
  /** Positions that enter at the embedding; others enter by {@link AttentionSublayer.rotation}. */
  position?: LearnedPosition;
  embedding: Matrix;
  /** A table whose first row is added to every token's embedding: a text has one segment. */
  tokenTypes?: Matrix;
  /** The norm of the embedding with all that is added to it. */
  embeddingNorm?: Norm;
  /** From the embedding's width to that of the layers, and back. */
  projectIn?: Linear;
  projectOut?: Linear;
  blocks: readonly (readonly Sublayer[])[];
  finalNorm?: Norm;
  head: Head;
}

/** A matrix by its module's name. */
export function matrix(name: string, rows: Axis, columns: Axis): Matrix {
  return { name, weight: `${name}.weight`, rows, columns };
}

/** A linear layer by its module's name. */
export function linearLayer(name: string, rows: Axis, columns: Axis, hasBias: boolean): Linear {
  return { ...matrix(name, rows, columns), ...(hasBias ? { bias: `${name}.bias` } : {}) };
}

/** An RMSNorm with its gain. */
export function rmsNorm(name: string, width: number, epsilon: number): Norm {
  return { name, kind: 'rms', epsilon, width, gain: `${name}.weight` };
}

/** A LayerNorm. @param elementwise which parameters it has */
export function layerNorm(
  name: string,
  width: number,
  epsilon: number,
  elementwise: { gain: boolean; shift: boolean } = { gain: true, shift: true },
): Norm {
  return {
    ...{ name, kind: 'layer', epsilon, width },
    ...(elementwise.gain ? { gain: `${name}.weight` } : {}),
    ...(elementwise.shift ? { shift: `${name}.bias` } : {}),
  };
}

/** The matrix that makes logits. */
export function headMatrix({ head, embedding }: Pick<Decoder, 'head' | 'embedding'>): Matrix {
  return head.tied ? embedding : head;
}

/** Whether a model goes on with a text token by token; a masked language model fills in places of it. */
export function generates({ mask }: Pick<Decoder, 'mask'>): boolean {
  return mask !== 'bidirectional';
}

/** The sublayers in the order in which they are recorded, members of parallel ones by themselves. */
export function sublayersOf({ blocks }: Pick<Decoder, 'blocks'>): MemberSublayer[] {
  return blocks.flat().flatMap((sublayer) => (sublayer.kind === 'parallel' ? sublayer.members : [sublayer]));
}

/** The attention sublayers in their order, which is that of the key-value cache. */
export function attentions(decoder: Pick<Decoder, 'blocks'>): AttentionSublayer[] {
  return sublayersOf(decoder).filter((sublayer) => sublayer.kind === 'attention');
}

/** The distinct rotations of the layers, each of which has a table, in the order of their first use. */
export function rotationsOf(decoder: Pick<Decoder, 'blocks'>): RopePosition[] {
  return [...new Set(attentions(decoder).flatMap(({ rotation }) => (rotation ? [rotation] : [])))];
}

/** Keys, or values, of a token: a run for each head. */
export function keyAxis({ headWidth, keyHeads }: Pick<AttentionSublayer, 'headWidth' | 'keyHeads'>): Axis {
  return quadAxis(headWidth, keyHeads);
}

/** The window of the layers that have one, which is the same for all. */
export function windowOf(decoder: Pick<Decoder, 'blocks'>): number | undefined {
  return attentions(decoder).find(({ window }) => window !== undefined)?.window;
}

/** The embedding's axes. */
export function embeddingAxes(vocabularySize: number, width: number): [Axis, Axis] {
  return [plainAxis(vocabularySize), quadAxis(width)];
}
