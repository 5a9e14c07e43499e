/**
 * The parameters of a decoder, read off its description.
 *
 * @module
 */

import { type Axis, axisLength, plainAxis, quadAxis } from '../tensor/axis.ts';
import {
  type Convolution,
  type Decoder,
  type ExpertLinears,
  type ExpertsSublayer,
  type Linear,
  type Matrix,
  type Norm,
  type ParallelSublayer,
  type Sublayer,
  sublayersOf,
} from './decoder.ts';

/** A parameter that the checkpoint must (or may) hold. */
export interface ParameterShape {
  /** With its suffix, as the checkpoint has it. */
  name: string;
  shape: number[];
  /** The checkpoint has the sides of the matrix the other way round. */
  transposed?: true;
  /** The tensor that holds the matrix, along its first dimension. */
  within?: Matrix['within'];
  /** How each side of a matrix is stored, or the elements of any other tensor, one behind the other. */
  axes: Axis[];
  optional: boolean;
  /** Name of the stack that the matrix lies in, that of its first matrix. */
  stack?: string;
  /** Nothing trains it: a number that transformers keeps beside the parameters. */
  fixed?: true;
}

/**
 * The linear layers of a sublayer that all tokens go through, in the order of their parameters; those of one list read
 * the same input.
 */
export function sublayerLinears(sublayer: Sublayer): Linear[][] {
  switch (sublayer.kind) {
    case 'attention':
      return [
        'packed' in sublayer
          ? [sublayer.packed]
          : [
              sublayer.query,
              ...('key' in sublayer ? [sublayer.key] : []),
              ...('value' in sublayer ? [sublayer.value] : []),
            ],
        [sublayer.output],
      ];
    case 'feed-forward':
      return [
        'packed' in sublayer ? [sublayer.packed] : [...(sublayer.gate ? [sublayer.gate] : []), sublayer.up],
        [sublayer.down],
      ];
    case 'experts': {
      const { router, shared } = sublayer;
      if (!shared) return [[router]];
      const inner = 'packed' in shared ? [shared.packed] : [shared.gate, shared.up];
      return [[router], [...(shared.scale ? [shared.scale] : []), ...inner], [shared.down]];
    }
    case 'short-convolution':
      return [[sublayer.input], [sublayer.output]];
    case 'layer-input':
      return [[sublayer.gate], [sublayer.output]];
    case 'delta-rule':
      return [
        'packed' in sublayer
          ? [sublayer.packed, sublayer.rates]
          : [
              ...('mixed' in sublayer ? [sublayer.mixed] : [sublayer.query, sublayer.key, sublayer.value]),
              ...[sublayer.gate, sublayer.learning, sublayer.forgetting],
            ],
        [sublayer.output],
      ];
  }
}

/** All linear layers of the blocks, in order. */
export function linearsOf(decoder: Pick<Decoder, 'blocks'>): Linear[] {
  return sublayersOf(decoder).flatMap((sublayer) => sublayerLinears(sublayer).flat());
}

/** Names of the matrices that the checkpoint has the other way round. */
export function transposedWeights(decoder: Decoder): ReadonlySet<string> {
  return new Set(parameterShapes(decoder).flatMap(({ name, transposed }) => (transposed ? [name] : [])));
}

/** Linear layers that read the same input, where there are several, in the order in which they are multiplied. */
export function sharedInputs(decoder: Pick<Decoder, 'blocks'>): Linear[][] {
  return sublayersOf(decoder).flatMap((sublayer) => sublayerLinears(sublayer).filter(({ length }) => length > 1));
}

/** The norms around a sublayer. */
function outerNorms({ before, after, ofSum }: { before?: Norm; after?: Norm; ofSum?: Norm }): Norm[] {
  return [before, after, ofSum].filter((norm) => norm !== undefined);
}

/** The norms inside of a sublayer. */
function innerNorms(sublayer: Sublayer): Norm[] {
  const norms = (): (Norm | undefined)[] => {
    switch (sublayer.kind) {
      case 'delta-rule':
        return [sublayer.norm];
      case 'attention':
        return [sublayer.queryNorm, sublayer.keyNorm, sublayer.valueNorm];
      case 'experts':
        return [sublayer.routerNorm, sublayer.afterExperts, sublayer.shared?.before, sublayer.shared?.after];
      default:
        return [];
    }
  };
  return norms().filter((norm) => norm !== undefined);
}

function ofMatrix({ weight, rows, columns, transposed, within }: Matrix): ParameterShape {
  const shape = [axisLength(rows), axisLength(columns)];
  return {
    name: weight,
    shape,
    axes: [rows, columns],
    optional: false,
    ...(transposed ? { transposed } : {}),
    ...(within ? { within } : {}),
  };
}

function ofVector(name: string, axis: Axis, optional: boolean): ParameterShape {
  return { name, shape: [axisLength(axis)], axes: [axis], optional };
}

function* ofLinear(linear: Linear): Generator<ParameterShape> {
  yield ofMatrix(linear);
  // transformers takes a bias that a checkpoint lacks as 0.
  if (linear.bias) yield ofVector(linear.bias, linear.rows, true);
}

function* ofNorm({ kind, width, gain, shift }: Norm): Generator<ParameterShape> {
  const axis = quadAxis(width);
  if (gain) yield ofVector(gain, axis, kind === 'layer');
  if (shift) yield ofVector(shift, axis, true);
}

/** What a parameter belongs to. */
export type ParameterKind = 'embedding' | Sublayer['kind'] | 'norms' | 'projections' | 'head';

/** A parameter and what it belongs to. */
type Placed = [kind: ParameterKind, parameter: ParameterShape];

function* placed(kind: ParameterKind, parameters: Iterable<ParameterShape>): Generator<Placed> {
  for (const parameter of parameters) yield [kind, parameter];
}

function* ofConvolution({ weight, bias, channels, taps, parts }: Convolution): Generator<ParameterShape> {
  for (const part of parts ?? [{ weight, channels }]) {
    const shape = [part.channels, 1, taps];
    yield { name: part.weight, shape, axes: [plainAxis(part.channels * taps)], optional: false };
  }
  if (bias) yield ofVector(bias, plainAxis(channels), true);
}

/** The matrices of experts, each stack of them by itself. */
export function stacksOf(sublayer: Sublayer): Matrix[][] {
  if (sublayer.kind !== 'experts') return [];
  return expertLinears(sublayer).map(({ matrices }) => [...matrices]);
}

function expertLinears(sublayer: ExpertsSublayer): ExpertLinears[] {
  return [...('packed' in sublayer ? [sublayer.packed] : [sublayer.gate, sublayer.up]), sublayer.down];
}

function* ofExperts(sublayer: Sublayer): Generator<ParameterShape> {
  if (sublayer.kind !== 'experts') return;
  const { routing } = sublayer;
  if (routing.correction) {
    const correction = ofVector(routing.correction, plainAxis(routing.experts), false);
    yield routing.correctionRow ? { ...correction, shape: [1, routing.experts] } : correction;
  }
  if (routing.expertScales) yield ofVector(routing.expertScales, plainAxis(routing.experts), false);
  for (const { matrices, bias } of expertLinears(sublayer)) {
    const [first] = matrices as [Matrix];
    for (const matrix of matrices) yield { ...ofMatrix(matrix), stack: first.weight };
    const shape = [routing.experts, axisLength(first.rows)];
    if (bias) yield { name: bias, shape, axes: [plainAxis(shape[0]! * shape[1]!)], optional: false };
  }
}

/** The parameters of a recurrent sublayer that are neither linear layers nor norms. */
function* ofRecurrence(sublayer: Sublayer): Generator<ParameterShape> {
  if (!('convolution' in sublayer)) return;
  yield* ofConvolution(sublayer.convolution);
  if (sublayer.kind !== 'delta-rule') return;
  const heads = plainAxis(sublayer.heads);
  for (const name of [sublayer.forgettingRate, sublayer.forgettingBias]) yield ofVector(name, heads, false);
}

function* ofSublayer(sublayer: Sublayer | ParallelSublayer): Generator<Placed> {
  for (const norm of outerNorms(sublayer)) yield* placed('norms', ofNorm(norm));
  if (sublayer.kind === 'parallel') {
    for (const member of sublayer.members) yield* ofSublayer(member);
    return;
  }
  for (const linear of sublayerLinears(sublayer).flat()) yield* placed(sublayer.kind, ofLinear(linear));
  if (sublayer.kind === 'attention' && sublayer.sinks) {
    yield* placed(sublayer.kind, [ofVector(sublayer.sinks, plainAxis(sublayer.heads), false)]);
  }
  if (sublayer.kind === 'feed-forward' && sublayer.xielu) {
    const { positive, negative } = sublayer.xielu;
    yield* placed(
      sublayer.kind,
      [positive, negative].map((name) => ofVector(name, plainAxis(1), false)),
    );
  }
  yield* placed(sublayer.kind, ofExperts(sublayer));
  yield* placed(sublayer.kind, ofRecurrence(sublayer));
  for (const norm of innerNorms(sublayer)) yield* placed('norms', ofNorm(norm));
  if (sublayer.sumScale) yield* placed('norms', [{ ...ofVector(sublayer.sumScale, plainAxis(1), false), fixed: true }]);
}

function* walk(decoder: Decoder): Generator<Placed> {
  const { embedding, position, tokenTypes, embeddingNorm, projectIn, blocks, finalNorm, projectOut, head } = decoder;
  const { layerInputs } = decoder;
  yield* placed('embedding', [ofMatrix(embedding)]);
  if (position) yield* placed('embedding', [ofMatrix(position.table)]);
  if (tokenTypes) yield* placed('embedding', [ofMatrix(tokenTypes)]);
  if (projectIn) yield* placed('projections', ofLinear(projectIn));
  if (embeddingNorm) yield* placed('norms', ofNorm(embeddingNorm));
  if (layerInputs) {
    yield* placed('embedding', [ofMatrix(layerInputs.table)]);
    yield* placed('projections', ofLinear(layerInputs.projection));
    yield* placed('norms', ofNorm(layerInputs.norm));
  }
  for (const sublayer of blocks.flat()) yield* ofSublayer(sublayer);
  if (finalNorm) yield* placed('norms', ofNorm(finalNorm));
  if (projectOut) yield* placed('projections', ofLinear(projectOut));
  if (head.transform) {
    yield* placed('head', ofLinear(head.transform.dense));
    yield* placed('norms', ofNorm(head.transform.norm));
  }
  if (!head.tied) yield* placed('head', [ofMatrix(head)]);
  // transformers takes a bias that a checkpoint lacks as 0, but for a head that transforms, whose file would be
  // damaged.
  if (head.bias) yield* placed('head', [ofVector(head.bias, head.rows, head.transform === undefined)]);
}

/** Every parameter of a decoder with its shape, in a fixed order. */
export function parameterShapes(decoder: Decoder): ParameterShape[] {
  return [...walk(decoder)].map(([, parameter]) => parameter);
}

/** Names of the numbers that nothing trains. */
export function fixedParameters(decoder: Decoder): ReadonlySet<string> {
  return new Set(parameterShapes(decoder).flatMap(({ name, fixed }) => (fixed ? [name] : [])));
}

/** What each parameter belongs to, by its name. */
export function parameterKinds(decoder: Decoder): Map<string, ParameterKind> {
  return new Map([...walk(decoder)].map(([kind, { name }]) => [name, kind]));
}

/**
 * Parameters that a decoder of another configuration would have, and this one has not: biases, and elementwise
 * parameters of norms. A checkpoint that holds them anyway contradicts its config.json.
 */
export function parametersLeftOut(decoder: Decoder): string[] {
  const { blocks, embeddingNorm, finalNorm, projectIn, projectOut, head, layerInputs } = decoder;
  const used = new Set(parameterShapes(decoder).map(({ name }) => name));
  const modules = [
    ...linearsOf({ blocks }),
    ...blocks.flat().flatMap(outerNorms),
    ...sublayersOf({ blocks }).flatMap((sublayer) => [...outerNorms(sublayer), ...innerNorms(sublayer)]),
    ...sublayersOf({ blocks }).flatMap((sublayer) => ('convolution' in sublayer ? [sublayer.convolution] : [])),
    ...[embeddingNorm, finalNorm, projectIn, projectOut].filter((module) => module !== undefined),
    ...(head.transform ? [head.transform.dense, head.transform.norm] : []),
    ...(layerInputs ? [layerInputs.projection, layerInputs.norm] : []),
    ...(head.bias ? [] : [head]),
  ];
  return modules
    .flatMap(({ name }) => [`${name}.weight`, `${name}.bias`])
    .filter((name) => !used.has(name) && name !== head.weight);
}
