/**
 * The forward pass of a decoder, written once: inference, evaluation and training record the same kernels.
 *
 * @module
 */

import type { OperationContext } from '../ops/context.ts';
import { embed } from '../ops/embedding.ts';
import { gatherRows } from '../ops/rows.ts';
import { scaleActivation } from '../ops/scale.ts';
import { storedLength } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import { type Decoder, type ExpertsSublayer, type ParallelSublayer, type Sublayer, sublayersOf } from './decoder.ts';
import type { Model } from './model.ts';
import { linearsOf, sublayerLinears } from './parameters.ts';
import { type ForwardInput, Pass } from './pass.ts';
import { recordAttention } from './sublayers/attention.ts';
import { recordDeltaRule } from './sublayers/delta-rule.ts';
import { recordExperts } from './sublayers/experts.ts';
import { recordFeedForward } from './sublayers/feed-forward.ts';
import { recordLayerInput, recordLayerInputs } from './sublayers/layer-input.ts';
import { recordShortConvolution } from './sublayers/short-convolution.ts';

/**
 * Records a forward pass.
 *
 * @returns final hidden states of the label rows [probes · labelCount, embedding width], ready for the output head; the
 *   caller gives it back to the workspace
 */
export function forward(model: Model, context: OperationContext, input: ForwardInput): Activation {
  const { embedding, embeddingScale, embeddingNorm, inputScale, position, tokenTypes, projectIn } = model.decoder;
  const { blocks, finalNorm, projectOut, layerInputs } = model.decoder;
  const pass = new Pass(model, context, input);
  const rows = input.rows * context.probes.count;
  let hidden = embed(context, input.ids, rows, model.weight(embedding.weight));
  if (embeddingScale !== undefined) scaleActivation(context, hidden, embeddingScale);
  const prompt = context.probes.adapter?.prompt;
  if (prompt) pass.fillIn(hidden, prompt, embedding.columns);
  if (projectIn) hidden = pass.replace(hidden, pass.linear(hidden, projectIn));
  if (position) embed(context, input.positions, rows, model.weight(position.table.weight), hidden);
  if (tokenTypes) embed(context, input.tokenTypes!, rows, model.weight(tokenTypes.weight), hidden);
  if (embeddingNorm) hidden = pass.replace(hidden, pass.norm(hidden, embeddingNorm));
  if (inputScale !== undefined) scaleActivation(context, hidden, inputScale);
  if (layerInputs) pass.layerInputs = recordLayerInputs(pass, layerInputs, hidden);
  // Memory of the widest activations serves narrower ones until it is wanted: before the first of those it must be
  // there.
  let widest = widestOf(blocks);
  for (const sublayer of blocks.flat()) {
    const { before } = sublayer;
    const read = before ? pass.norm(hidden, before) : hidden;
    context.workspace.give(...widest.map((columns) => context.workspace.take(rows, columns)));
    widest = [];
    const sum = hidden;
    const done = (): void => {
      if (read !== sum) context.workspace.give(read);
    };
    if (sublayer.kind === 'parallel') {
      recordMembers(pass, sublayer, read, done, sum);
      continue;
    }
    record(pass, sublayer, read, done, sum);
    if (sublayer.ofSum) hidden = pass.replace(hidden, pass.norm(hidden, sublayer.ofSum));
  }
  if (pass.layerInputs) context.workspace.give(pass.layerInputs);
  let labels = pass.replace(hidden, gatherRows(context, hidden, input.labelRows, input.labelCount));
  if (finalNorm) labels = pass.replace(labels, pass.norm(labels, finalNorm));
  if (projectOut) labels = pass.replace(labels, new Pass(model, ofLabels(context), input).linear(labels, projectOut));
  return labels;
}

/** The context of what has the label rows alone. */
function ofLabels(context: OperationContext): OperationContext {
  const { rowAdapters } = context.probes;
  if (!rowAdapters) return context;
  const labels = { ...rowAdapters, factors: rowAdapters.labelFactors };
  return { ...context, probes: { ...context.probes, rowAdapters: labels } };
}

/**
 * Records members that read the same sum. What each of them reads is made before the first one is added.
 * @param done called when nothing reads `read` any more
 */
function recordMembers(
  pass: Pass,
  { members }: ParallelSublayer,
  read: Activation,
  done: () => void,
  hidden: Activation,
): void {
  const reads = members.map(({ before }) => (before ? pass.norm(read, before) : read));
  if (reads.includes(hidden)) throw new Error('a member of a parallel sublayer reads the sum that others are added to');
  for (const [index, member] of members.entries()) {
    const own = reads[index]!;
    record(pass, member, own, () => own !== read && pass.context.workspace.give(own), hidden);
  }
  done();
}

/** @param done called when nothing reads `read` any more */
function record(pass: Pass, sublayer: Sublayer, read: Activation, done: () => void, hidden: Activation): void {
  switch (sublayer.kind) {
    case 'attention':
      recordAttention(pass, sublayer, read, done, hidden);
      break;
    case 'feed-forward':
      recordFeedForward(pass, sublayer, read, done, hidden);
      break;
    case 'experts':
      recordExperts(pass, sublayer, read, done, hidden);
      break;
    case 'short-convolution':
      recordShortConvolution(pass, sublayer, read, done, hidden);
      break;
    case 'delta-rule':
      recordDeltaRule(pass, sublayer, read, done, hidden);
      break;
    case 'layer-input':
      recordLayerInput(pass, sublayer, read, done, hidden);
      break;
  }
}

/**
 * Columns of the activations inside of a feed-forward layer, which are there at the same time: of the first one, or of
 * the first of the wider ones.
 */
function widestOf(blocks: Decoder['blocks']): number[] {
  const all = sublayersOf({ blocks }).map(widthsInside);
  const sum = (widths: readonly number[]): number => widths.reduce((total, width) => total + width, 0);
  return all.reduce((widest, widths) => (sum(widths) > sum(widest) ? widths : widest), []);
}

function widthsInside(sublayer: Sublayer): number[] {
  if (sublayer.kind !== 'feed-forward' && sublayer.kind !== 'experts') return [];
  if (sublayer.kind === 'experts') return widthsOfExperts(sublayer);
  const made = sublayerLinears(sublayer)[0]!.map(({ rows }) => rows);
  if ('packed' in sublayer) made.push(sublayerLinears(sublayer)[1]![0]!.columns);
  return made.map(storedLength);
}

/** Columns of what a layer of experts reads and makes, for all that a token goes to. */
function widthsOfExperts(sublayer: ExpertsSublayer): number[] {
  const { rows, columns } = sublayer.down.matrices[0]!;
  const made = 'packed' in sublayer ? sublayer.packed.matrices[0]!.rows : columns;
  return [rows, made, columns].map((axis) => sublayer.routing.chosen * storedLength(axis));
}

/** The widest activation of a pass, in elements per row: decides how many rows fit into one binding. */
export function widestActivation(model: Model): number {
  const { embedding, blocks, layerInputs } = model.decoder;
  const sides = [...linearsOf({ blocks }), ...(layerInputs ? [layerInputs.projection] : [])].flatMap(
    ({ rows, columns }) => [rows, columns],
  );
  const ofExperts = sublayersOf({ blocks }).flatMap((sublayer) =>
    sublayer.kind === 'experts' ? widthsOfExperts(sublayer) : [],
  );
  return Math.max(...[embedding.columns, ...sides].map(storedLength), ...ofExperts);
}
