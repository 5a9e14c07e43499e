/**
 * The description of a decoder: what its layers are made of and which tensors of the checkpoint they read. A family
 * (families/) makes it from config.json; parameters, the forward pass, LoRA and exports walk over it.
 *
 * @module
 */

import type { MatmulActivation } from '../ops/activation.ts';
import type { ExpertScore } from '../ops/experts.ts';
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
  /** The tensor of the checkpoint that holds this matrix as one of several, along its first dimension. */
  within?: { tensor: string; index: number; count: number };
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
  /** What is added to the gain as the checkpoint has it: 1 where that is the gain's distance from 1. */
  gainOffset?: number;
}

/** The norms around a sublayer, whose result is added to what it came from. */
interface SublayerNorms {
  /** The norm of what the sublayer reads. */
  before?: Norm;
  /** The norm of what the sublayer gives, before it is added. */
  after?: Norm;
  /** The norm of the sum that the next sublayer reads. */
  ofSum?: Norm;
  /** The factor of what the sublayer gives, after its norm, before it is added. */
  residualScale?: number;
  /** Name of the number that the sum is multiplied by, which the checkpoint holds and which does not train. */
  sumScale?: string;
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

/** Queries and keys. Values are what the keys are before their norm, through a norm of their own. */
interface KeysAsValues {
  query: Linear;
  key: Linear;
  valueNorm: Norm;
}

/** Queries alone. Keys and values are those of an earlier layer, by its number in {@link keyMakers}. */
interface SharedKeys {
  query: Linear;
  keysOf: number;
}

interface AttentionParts extends SublayerNorms {
  kind: 'attention';
  output: Linear;
  /** The norms of queries and keys, before they are turned by their positions, or after it. */
  queryNorm?: Norm;
  keyNorm?: Norm;
  valueNorm?: Norm;
  normsRotated?: boolean;
  heads: number;
  keyHeads: number;
  headWidth: number;
  /** How queries and keys are turned by their positions; absent where they are not. Layers share the object. */
  rotation?: RopePosition;
  /** How queries are turned, where it is not as keys are. */
  queryRotation?: RopePosition;
  /** The factor of the scores; 1/√headWidth if absent. */
  scale?: number;
  /** The bound c of the scores s, which become c·tanh(s/c); none if absent. */
  softCap?: number;
  /** What its scores fall by with the distance of key and query. Layers share the object. */
  alibi?: Alibi;
  /** Keys that it sees, counted from the token itself in each direction that it looks in; all if absent. */
  window?: number;
  /** Name of a score for each head that takes part in every softmax and has no value. */
  sinks?: string;
  /** Whether `query` makes, behind the queries of each head, a gate of its result, of which the sigmoid is taken. */
  gated?: boolean;
}

/** Biases of attention that fall with the distance, in place of positions (Press et al. 2022, ALiBi). */
export interface Alibi {
  heads: number;
  /** The factor of the biases; 1 if absent. */
  scale?: number;
  /** Slopes, positions and their products are rounded to bfloat16. */
  rounded?: boolean;
}

/** Every token's mean of the values of those that it sees. */
export type AttentionSublayer = AttentionParts & (SeparateProjections | PackedProjections | KeysAsValues | SharedKeys);

interface FeedForwardParts extends SublayerNorms {
  kind: 'feed-forward';
  down: Linear;
  /** The activation of the gate where there is one, of `up` otherwise. */
  activation: MatmulActivation;
  /** In place of an activation of `up`. */
  xielu?: Xielu;
}

/** An activation with two trained numbers, by their tensors' names, and two constants; see kernels/xielu.wgsl. */
export interface Xielu {
  positive: string;
  negative: string;
  beta: number;
  epsilon: number;
}

/**
 * Two linear layers with an activation between them, or one of them gated by a third; `packed` is the gate's rows, then
 * those of `up`.
 */
export type FeedForwardSublayer = FeedForwardParts & ({ gate?: Linear; up: Linear } | { packed: Linear });

/** How tokens are given to experts. */
export interface Routing {
  /** Experts of the layer, and how many of them each token goes to: those with the highest scores. */
  experts: number;
  chosen: number;
  /** How scores are made of the router's logits, of all experts; `sparse-mixer` chooses two. */
  score: ExpertScore;
  /** How far below the highest logit those that count may lie, as a share of its size; for the sparse mixer only. */
  tolerance?: number;
  /** Whether the scores of the chosen experts are divided by their sum. */
  normalised: boolean;
  /** Name of numbers that are added to the scores when experts are chosen, and not to what they count for. */
  correction?: string;
  /** Files hold the correction as a matrix of one row. */
  correctionRow?: true;
  /** What the sum that scores are divided by is at least, and what is added to it; 0 if absent. */
  sumLeast?: number;
  sumOffset?: number;
  /** The factor of what the experts give together. */
  scale?: number;
  /** The factor of the router's logits. */
  logitScale?: number;
  /** Name of a factor for each expert of what it gives. */
  expertScales?: string;
}

/** One linear layer of every expert. */
export interface ExpertLinears {
  /** The matrix of each expert, in order; all have one shape. */
  matrices: readonly Matrix[];
  /** Name of the biases [experts, out features]. */
  bias?: string;
}

/** The gates g of experts whose other half is u: (u + 1) · g · sigmoid(gain · g), both limited before. */
export interface ClampedGate {
  limit: number;
  gain: number;
}

/**
 * Feed-forward layers with a gate, of which every token goes through a few and gets the sum of what they give, weighted
 * by the router's scores.
 */
export type ExpertsSublayer = ExpertsCommon & (SeparateGates | PackedGates);

interface SeparateGates {
  gate: ExpertLinears;
  up: ExpertLinears;
}

/** Gate and up by one linear layer: the gate's rows before those of `up`, or in turns with them. */
interface PackedGates {
  packed: ExpertLinears;
  interleaved: boolean;
  clamped?: ClampedGate;
  /** The same experts with matrices of their own, as some files have them. */
  separate?: SeparateGates & { down: ExpertLinears };
}

/** A feed-forward layer that every token goes through besides its experts. */
export type SharedExpert = ({ gate: Linear; up: Linear } | { packed: Linear }) & {
  down: Linear;
  /** Makes a number, by the sigmoid of which the result is multiplied. */
  scale?: Linear;
  /** The norm through which it reads the sum by itself, in place of what the experts read. */
  before?: Norm;
  /** The norm of what it gives, before that of the experts is added. */
  after?: Norm;
};

interface ExpertsCommon extends SublayerNorms {
  kind: 'experts';
  router: Linear;
  /** Whether the router is a linear layer of its own in transformers, beside which PEFT puts pairs. */
  routerIsLayer?: true;
  routing: Routing;
  down: ExpertLinears;
  /** The norm through which the router reads the sum by itself, in place of what the experts read. */
  routerNorm?: Norm;
  /** The activation of the gates. */
  activation: MatmulActivation;
  /** The norm of what the experts give together, before that of the shared one is added. */
  afterExperts?: Norm;
  shared?: SharedExpert;
}

/** A causal convolution over the tokens, of every channel by itself. */
export interface Convolution {
  /** The module's name. */
  name: string;
  /** The kernel [channels, 1, taps], whose last tap is for the token itself. */
  weight: string;
  bias?: string;
  channels: number;
  /** Tokens that enter a result, the token itself included. */
  taps: number;
  /** The tensors that hold the kernel, channels one behind the other, where it is not one. */
  parts?: readonly { weight: string; channels: number }[];
}

/** A short convolution between two gates: output(C · convolution(B · x)). */
export interface ShortConvolutionSublayer extends SublayerNorms {
  kind: 'short-convolution';
  /** Makes B, C and x, a run of channels each. */
  input: Linear;
  convolution: Convolution;
  output: Linear;
}

/** The gated delta rule: every head keeps a matrix, which forgets and learns a value for a key with every token. */
export type DeltaRuleSublayer = DeltaRuleParts & (SeparateRule | UnmixedRule | PackedRule);

interface SeparateRule {
  /** Makes queries, keys and values, one behind the other. */
  mixed: Linear;
  /** Makes what the result is gated by. */
  gate: Linear;
  /** Make, for each head, how much of a value is learnt, and how much of the matrix is forgotten. */
  learning: Linear;
  forgetting: Linear;
}

interface UnmixedRule extends Omit<SeparateRule, 'mixed'> {
  query: Linear;
  key: Linear;
  value: Linear;
}

interface PackedRule {
  /** Makes, for each key head in turn, its query, its key, and the values and gates of the heads that share it. */
  packed: Linear;
  /** Makes, for each key head in turn, what its heads learn and what they forget. */
  rates: Linear;
}

interface DeltaRuleParts extends SublayerNorms {
  kind: 'delta-rule';
  /** Names of ln A and of what is added in front of softplus, one number for each head. */
  forgettingRate: string;
  forgettingBias: string;
  /** The convolution of queries, keys and values, and what follows it. */
  convolution: Convolution;
  activation: MatmulActivation;
  /** The norm of each head's result, before it is gated. */
  norm: Norm;
  output: Linear;
  /** Heads of values, and of queries and keys, which neighbouring heads share. */
  heads: number;
  keyHeads: number;
  keyWidth: number;
  valueWidth: number;
  /** The factor of how much is learnt; 1 if absent. */
  learningScale?: number;
}

/** Sublayers that carry a state from token to token. */
export type RecurrentSublayer = ShortConvolutionSublayer | DeltaRuleSublayer;

/** What a layer adds of its own part of {@link Decoder.layerInputs}: output(activation(gate(x)) · part). */
export interface LayerInputSublayer extends SublayerNorms {
  kind: 'layer-input';
  gate: Linear;
  activation: MatmulActivation;
  output: Linear;
  /** The number of its part. */
  part: number;
}

export type Sublayer =
  | AttentionSublayer
  | FeedForwardSublayer
  | ExpertsSublayer
  | RecurrentSublayer
  | LayerInputSublayer;

/**
 * Sublayers that read the same sum, to which all of them are added: through one norm for all, or through a norm of
 * each.
 */
export interface ParallelSublayer {
  kind: 'parallel';
  before?: Norm;
  members: readonly Sublayer[];
}

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

/**
 * What layers read of the tokens besides the hidden state, a run of elements for each of them:
 * scale · (norm(projection(x)) + tableScale · table[token]), where x is what the layers begin with. Virtual tokens have
 * no row in the table, which counts as zeros.
 */
export interface LayerInputs {
  table: Matrix;
  tableScale: number;
  projection: Linear;
  /** The norm of each run by itself. */
  norm: Norm;
  scale: number;
}

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
  /** The factor of the table's rows, virtual tokens apart. */
  embeddingScale?: number;
  /** A table whose first row is added to every token's embedding: a text has one segment. */
  tokenTypes?: Matrix;
  /** The norm of the embedding with all that is added to it. */
  embeddingNorm?: Norm;
  /** The factor of all that the layers begin with, virtual tokens included. */
  inputScale?: number;
  /** From the embedding's width to that of the layers, and back. */
  projectIn?: Linear;
  projectOut?: Linear;
  layerInputs?: LayerInputs;
  blocks: readonly (readonly (Sublayer | ParallelSublayer)[])[];
  finalNorm?: Norm;
  head: Head;
  /** What becomes of the head's products x before they are logits: c·tanh(scale·x/c) with the bound c, or scale·x. */
  logits?: { scale?: number; softCap?: number };
  /** What a checkpoint's files hold besides, and otherwise. */
  stored?: StoredNames;
  /** What whoever loads it should know, in a sentence each. */
  notes?: readonly string[];
}

/** Where a checkpoint's files differ from a description's names. */
export interface StoredNames {
  /** Beginnings of names, and what older files have in their place. */
  prefixes: readonly { name: string; older: string }[];
  /** Tensors of one number that its class keeps, which must have this value. */
  constants?: readonly { pattern: RegExp; value: number }[];
  /** Names of tensors that belong to other parts than the decoder. */
  leftOut?: RegExp;
  /** Names of tensors that files may hold for nothing. */
  unread?: RegExp;
  /** Exports have the older names, as those of transformers do. */
  exported?: boolean;
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

/** A convolution by its module's name. */
export function convolutionOf(name: string, channels: number, taps: number, hasBias: boolean): Convolution {
  return { name, weight: `${name}.weight`, channels, taps, ...(hasBias ? { bias: `${name}.bias` } : {}) };
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
export function sublayersOf({ blocks }: Pick<Decoder, 'blocks'>): Sublayer[] {
  return blocks.flat().flatMap((sublayer) => (sublayer.kind === 'parallel' ? sublayer.members : [sublayer]));
}

/** The attention sublayers in their order. */
export function attentions(decoder: Pick<Decoder, 'blocks'>): AttentionSublayer[] {
  return sublayersOf(decoder).filter((sublayer) => sublayer.kind === 'attention');
}

/** The attention sublayers with keys and values of their own in their order, which is that of the key-value cache. */
export function keyMakers(decoder: Pick<Decoder, 'blocks'>): AttentionSublayer[] {
  return attentions(decoder).filter((attention) => !('keysOf' in attention));
}

/** The layers that make queries and values, which LoRA is beside by default: one layer where it makes both. */
export function queriesAndValues(attention: AttentionSublayer): Linear[] {
  if ('packed' in attention) return [attention.packed];
  return [attention.query, ...('value' in attention ? [attention.value] : [])];
}

/** The sublayers with a state in their order, which is that of the states in the cache. */
export function recurrents({ blocks }: Pick<Decoder, 'blocks'>): RecurrentSublayer[] {
  return blocks.flat().filter((sublayer) => sublayer.kind === 'short-convolution' || sublayer.kind === 'delta-rule');
}

/** Elements of a sequence's state: the last inputs of the convolution [taps − 1, channels], and the matrices. */
export function stateSizes(sublayer: RecurrentSublayer): { inputs: number; matrices: number } {
  const { channels, taps } = sublayer.convolution;
  const matrices = sublayer.kind === 'delta-rule' ? sublayer.heads * sublayer.keyWidth * sublayer.valueWidth : 0;
  return { inputs: (taps - 1) * channels, matrices };
}

/** The distinct rotations of the layers, each of which has a table, in the order of their first use. */
export function rotationsOf(decoder: Pick<Decoder, 'blocks'>): RopePosition[] {
  return [...new Set(attentions(decoder).flatMap((attention) => [attention.rotation, attention.queryRotation]))].filter(
    (rotation) => rotation !== undefined,
  );
}

/** The distinct biases of the layers, each of which has slopes, in the order of their first use. */
export function alibisOf(decoder: Pick<Decoder, 'blocks'>): Alibi[] {
  return [...new Set(attentions(decoder).flatMap(({ alibi }) => (alibi ? [alibi] : [])))];
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
