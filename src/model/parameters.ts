/**
 * The parameters of a decoder, read off its description.
 *
 * @module
 */

import { type Axis, axisLength, quadAxis } from '../tensor/axis.ts';
import type { Decoder, Linear, Matrix, Norm, Sublayer } from './decoder.ts';

/** A parameter that the checkpoint must (or may) hold. */
export interface ParameterShape {
  /** With its suffix, as the checkpoint has it. */
  name: string;
  shape: number[];
  /** How each side is stored. */
  axes: Axis[];
  optional: boolean;
}

/** The linear layers of a sublayer in the order of their parameters; those of one list read the same input. */
export function sublayerLinears(sublayer: Sublayer): Linear[][] {
  switch (sublayer.kind) {
    case 'attention':
      return [[sublayer.query, sublayer.key, sublayer.value], [sublayer.output]];
    case 'feed-forward':
      return [[...(sublayer.gate ? [sublayer.gate] : []), sublayer.up], [sublayer.down]];
  }
}

/** All linear layers of the blocks, in order. */
export function linearsOf({ blocks }: Pick<Decoder, 'blocks'>): Linear[] {
  return blocks.flat().flatMap((sublayer) => sublayerLinears(sublayer).flat());
}

/** Linear layers that read the same input, where there are several, in the order in which they are multiplied. */
export function sharedInputs({ blocks }: Pick<Decoder, 'blocks'>): Linear[][] {
  return blocks.flat().flatMap((sublayer) => sublayerLinears(sublayer).filter(({ length }) => length > 1));
}

/** The norms around a sublayer. */
function outerNorms({ before, after, ofSum }: Sublayer): Norm[] {
  return [before, after, ofSum].filter((norm) => norm !== undefined);
}

/** The norms inside of a sublayer. */
function innerNorms(sublayer: Sublayer): Norm[] {
  if (sublayer.kind !== 'attention') return [];
  return [sublayer.queryNorm, sublayer.keyNorm].filter((norm) => norm !== undefined);
}

function ofMatrix({ weight, rows, columns }: Matrix): ParameterShape {
  return { name: weight, shape: [axisLength(rows), axisLength(columns)], axes: [rows, columns], optional: false };
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

function* walk(decoder: Decoder): Generator<ParameterShape> {
  const { embedding, position, tokenTypes, embeddingNorm, projectIn, blocks, finalNorm, projectOut, head } = decoder;
  yield ofMatrix(embedding);
  if (position) yield ofMatrix(position.table);
  if (tokenTypes) yield ofMatrix(tokenTypes);
  if (projectIn) yield* ofLinear(projectIn);
  if (embeddingNorm) yield* ofNorm(embeddingNorm);
  for (const sublayer of blocks.flat()) {
    for (const norm of outerNorms(sublayer)) yield* ofNorm(norm);
    for (const linear of sublayerLinears(sublayer).flat()) yield* ofLinear(linear);
    for (const norm of innerNorms(sublayer)) yield* ofNorm(norm);
  }
  if (finalNorm) yield* ofNorm(finalNorm);
  if (projectOut) yield* ofLinear(projectOut);
  if (head.transform) {
    yield* ofLinear(head.transform.dense);
    yield* ofNorm(head.transform.norm);
  }
  if (!head.tied) yield ofMatrix(head);
  if (head.bias) yield ofVector(head.bias, head.rows, false);
}

/** Every parameter of a decoder with its shape, in a fixed order. */
export function parameterShapes(decoder: Decoder): ParameterShape[] {
  return [...walk(decoder)];
}

/**
 * Parameters that a decoder of another configuration would have, and this one has not: biases, and elementwise
 * parameters of norms. A checkpoint that holds them anyway contradicts its config.json.
 */
export function parametersLeftOut(decoder: Decoder): string[] {
  const { blocks, embeddingNorm, finalNorm, projectIn, projectOut, head } = decoder;
  const used = new Set(parameterShapes(decoder).map(({ name }) => name));
  const modules = [
    ...linearsOf({ blocks }),
    ...blocks.flat().flatMap((sublayer) => [...outerNorms(sublayer), ...innerNorms(sublayer)]),
    ...[embeddingNorm, finalNorm, projectIn, projectOut].filter((module) => module !== undefined),
    ...(head.transform ? [head.transform.dense, head.transform.norm] : []),
    ...(head.bias ? [] : [head]),
  ];
  return modules
    .flatMap(({ name }) => [`${name}.weight`, `${name}.bias`])
    .filter((name) => !used.has(name) && name !== head.weight);
}
