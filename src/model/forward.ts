/**
 * The forward pass of a decoder, written once: inference, evaluation and training record the same kernels.
 *
 * @module
 */

import type { OperationContext } from '../ops/context.ts';
import { embed } from '../ops/embedding.ts';
import { gatherRows } from '../ops/rows.ts';
import { storedLength } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import type { Sublayer } from './decoder.ts';
import type { Model } from './model.ts';
import { sublayerLinears } from './parameters.ts';
import { type ForwardInput, Pass } from './pass.ts';
import { recordAttention } from './sublayers/attention.ts';
import { recordFeedForward } from './sublayers/feed-forward.ts';

/**
 * Records a forward pass.
 *
 * @returns final hidden states of the label rows [probes · labelCount, embedding width], ready for the output head; the
 *   caller gives it back to the workspace
 */
export function forward(model: Model, context: OperationContext, input: ForwardInput): Activation {
  const { embedding, position, tokenTypes, embeddingNorm, projectIn, blocks, finalNorm, projectOut } = model.decoder;
  const pass = new Pass(model, context, input);
  const rows = input.rows * context.probes.count;
  let hidden = embed(context, input.ids, rows, model.weight(embedding.weight));
  const prompt = context.probes.adapter?.prompt;
  if (prompt) pass.fillIn(hidden, prompt, embedding.columns);
  if (projectIn) hidden = pass.replace(hidden, pass.linear(hidden, projectIn));
  if (position) embed(context, input.positions, rows, model.weight(position.table.weight), hidden);
  if (tokenTypes) embed(context, input.tokenTypes!, rows, model.weight(tokenTypes.weight), hidden);
  if (embeddingNorm) hidden = pass.replace(hidden, pass.norm(hidden, embeddingNorm));
  // Memory of the widest activations serves narrower ones until it is wanted: before the first of those it must be
  // there.
  let widest = widestOf(blocks[0] ?? []);
  for (const sublayer of blocks.flat()) {
    const { before, ofSum } = sublayer;
    const read = before ? pass.norm(hidden, before) : hidden;
    context.workspace.give(...widest.map((columns) => context.workspace.take(rows, columns)));
    widest = [];
    const sum = hidden;
    const done = (): void => {
      if (read !== sum) context.workspace.give(read);
    };
    record(pass, sublayer, read, done, sum);
    if (ofSum) hidden = pass.replace(hidden, pass.norm(hidden, ofSum));
  }
  let labels = pass.replace(hidden, gatherRows(context, hidden, input.labelRows, input.labelCount));
  if (finalNorm) labels = pass.replace(labels, pass.norm(labels, finalNorm));
  if (projectOut) labels = pass.replace(labels, pass.linear(labels, projectOut));
  return labels;
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
  }
}

/** Columns of the activations inside of a block's feed-forward layers, which are there at the same time. */
function widestOf(block: readonly Sublayer[]): number[] {
  for (const sublayer of block) {
    if (sublayer.kind !== 'feed-forward') continue;
    return sublayerLinears(sublayer)[0]!.map(({ rows }) => storedLength(rows));
  }
  return [];
}

/** The widest activation of a pass, in elements per row: decides how many rows fit into one binding. */
export function widestActivation(model: Model): number {
  const { embedding, blocks } = model.decoder;
  const linears = blocks.flat().flatMap((sublayer) => sublayerLinears(sublayer).flat());
  const sides = linears.flatMap(({ rows, columns }) => [rows, columns]);
  return Math.max(...[embedding.columns, ...sides].map(storedLength));
}
