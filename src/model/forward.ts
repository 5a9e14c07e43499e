/**
 * The forward pass of a decoder, written once: inference, evaluation and training record the same kernels.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import { attention } from '../ops/attention.ts';
import type { OperationContext } from '../ops/context.ts';
import { embed } from '../ops/embedding.ts';
import { type LinearOptions, linear, linears } from '../ops/linear.ts';
import { norm } from '../ops/norm.ts';
import { type RopeTable, rope } from '../ops/rope.ts';
import { gate, gatherRows, storeRows, virtualRows } from '../ops/rows.ts';
import { type Axis, quadAxis, wholeQuads } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import type { KeyValueCache } from './cache.ts';
import { keyAxis } from './configuration.ts';
import type { Model } from './model.ts';

/** The input of a pass on the GPU; arrays hold one entry per row of a probe. */
export interface ForwardInput {
  ids: GpuBuffer;
  positions: GpuBuffer;
  /** The rotary table that `positions` are rows of, where it is not the model's own. */
  ropeTable?: RopeTable;
  /** Key ranges of layers that see everything, and of layers with a sliding window. */
  ranges: GpuBuffer;
  windowRanges?: GpuBuffer;
  /** Most keys that a row sees, as far as the caller knows. */
  longest?: number;
  /** Rows per probe. */
  rows: number;
  /** Rows per probe whose hidden state is wanted, and their numbers. */
  labelRows: GpuBuffer;
  labelCount: number;
  /** Keys and values of earlier tokens; new ones are written to the rows that `slots` names. */
  cache?: { cache: Pick<KeyValueCache, 'keys' | 'values'>; slots: GpuBuffer };
}

/**
 * Records a forward pass.
 *
 * @returns final hidden states of the label rows [probes · labelCount, embedding width], ready for the output head; the caller
 * gives it back to the workspace
 */
export function forward(model: Model, context: OperationContext, input: ForwardInput): Activation {
  const c = model.configuration;
  const { workspace, probes } = context;
  const rows = input.rows * probes.count;
  const normOf = (x: Activation, name: string, groupWidth = c.hiddenSize): Activation => {
    const { weight: gain, bias: shift } = model.parameterNames(name);
    return norm(context, x, {
      kind: c.normKind,
      epsilon: c.normEpsilon,
      gain,
      shift,
      groupWidth,
    });
  };
  const linearOf = (x: Activation, name: string, options: LinearOptions = {}): Activation =>
    linear(context, x, model.weight(name), { bias: model.parameterNames(name).bias, ...options });
  const linearsOf = (x: Activation, ...of: string[]): Activation[] =>
    linears(
      context,
      x,
      of.map((name) => ({ weight: model.weight(name), bias: model.parameterNames(name).bias })),
    );
  // Replaces an activation by a function of it.
  const replace = (x: Activation, next: Activation): Activation => {
    workspace.give(x);
    return next;
  };

  const ropeTable = input.ropeTable ?? model.ropeTable;
  let hidden = embed(context, input.ids, rows, model.weight(c.embedding));
  // Virtual tokens: of a prompt the embeddings are trained; of a prefix the keys and values, and what else their rows hold is never read.
  const { prompt, prefix } = probes.adapter ?? {};
  const fillIn = (x: Activation, name: string, columns: Axis): void =>
    virtualRows(context, x, input.ids, c.vocabularySize, name, columns);
  if (prompt) fillIn(hidden, prompt, quadAxis(c.embeddingWidth));
  if (c.projectIn) hidden = replace(hidden, linearOf(hidden, c.projectIn));
  if (c.position.kind === 'learned') embed(context, input.positions, rows, model.weight(c.position.name), hidden);

  const inside = wholeQuads(c.feedForwardSize);
  const widest = c.layers[0]?.gate ? [inside, inside] : [inside];
  for (let layer = 0; layer < c.layerCount; layer++) {
    const names = c.layers[layer]!;

    const attended = c.normFirst ? normOf(hidden, names.attentionNorm) : hidden;
    // Memory of the widest activations serves narrower ones until it is wanted: in the first layer it must be there before those.
    if (layer === 0) workspace.give(...widest.map((columns) => workspace.take(rows, columns)));
    let [query, key, value] = linearsOf(attended, names.query, names.key, names.value);
    if (attended !== hidden) workspace.give(attended);
    if (names.queryNorm) query = replace(query, normOf(query, names.queryNorm, c.headWidth));
    if (names.keyNorm) key = replace(key, normOf(key, names.keyNorm, c.headWidth));
    if (ropeTable) rope(context, query, key, input.positions, ropeTable, c.headWidth);
    if (prefix) {
      fillIn(key, prefix[layer]!.keys, keyAxis(c));
      fillIn(value, prefix[layer]!.values, keyAxis(c));
    }
    let keys = key.buffer;
    let values = value.buffer;
    if (input.cache) {
      const { cache, slots } = input.cache;
      keys = cache.keys[layer]!;
      values = cache.values[layer]!;
      storeRows(context, key, value, slots, { keys, values });
    }
    const mixed = attention(context, query, keys, values, {
      heads: c.headCount,
      keyHeads: c.keyHeadCount,
      headWidth: c.headWidth,
      ranges: c.windows[layer] === undefined ? input.ranges : input.windowRanges!,
      keyStride: input.cache ? 0 : input.rows,
      ...(input.longest === undefined ? {} : { longest: input.longest }),
    });
    workspace.give(query, key, value);
    linearOf(mixed, names.output, { addTo: hidden });
    workspace.give(mixed);
    if (!c.normFirst) hidden = replace(hidden, normOf(hidden, names.attentionNorm));

    const fed = c.normFirst ? normOf(hidden, names.feedForwardNorm) : hidden;
    let inner: Activation;
    if (names.gate) {
      let up: Activation;
      [inner, up] = linearsOf(fed, names.gate, names.up);
      gate(context, inner, up, c.activation);
      workspace.give(up);
    } else {
      inner = linearOf(fed, names.up, { activation: c.activation });
    }
    if (fed !== hidden) workspace.give(fed);
    linearOf(inner, names.down, { addTo: hidden });
    workspace.give(inner);
    if (!c.normFirst) hidden = replace(hidden, normOf(hidden, names.feedForwardNorm));
  }

  let labels = replace(hidden, gatherRows(context, hidden, input.labelRows, input.labelCount));
  if (c.finalNorm) labels = replace(labels, normOf(labels, c.finalNorm));
  if (c.projectOut) labels = replace(labels, linearOf(labels, c.projectOut));
  return labels;
}

/** The widest activation of a pass, in elements per row: decides how many rows fit into one binding. */
export function widestActivation(model: Model): number {
  const c = model.configuration;
  return Math.max(
    ...[c.hiddenSize, c.feedForwardSize, c.embeddingWidth].map(wholeQuads),
    c.headCount * wholeQuads(c.headWidth),
  );
}
