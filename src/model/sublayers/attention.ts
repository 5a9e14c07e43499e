/**
 * Attention: every row's mean of the values of the keys that it sees.
 *
 * @module
 */

import { attention } from '../../ops/attention.ts';
import { rope } from '../../ops/rope.ts';
import { gate, splitHeads, storeRows } from '../../ops/rows.ts';
import { split } from '../../ops/split.ts';
import type { Activation } from '../../tensor/workspace.ts';
import { type AttentionSublayer, keyAxis } from '../decoder.ts';
import type { Pass } from '../pass.ts';

/**
 * Records the projections and the mixing of values.
 *
 * @param read what the sublayer reads; `done` is called when nothing reads it any more
 * @param hidden receives the sum
 */
export function recordAttention(
  pass: Pass,
  sublayer: AttentionSublayer,
  read: Activation,
  done: () => void,
  hidden: Activation,
): void {
  const { input } = pass;
  const { workspace, probes } = pass.context;
  const { heads, keyHeads, headWidth, queryNorm, keyNorm, normsRotated, rotation, queryRotation } = sublayer;
  const layer = pass.attentionCount++;
  let [query, key, value] = project(pass, sublayer, read);
  done();
  let gates: Activation | undefined;
  if (sublayer.gated) {
    const both = query;
    [query, gates] = splitHeads(pass.context, both, keyAxis(sublayer).stride);
    workspace.give(both);
  }
  const norms = (): void => {
    if (queryNorm) query = pass.replace(query, pass.norm(query, queryNorm));
    if (keyNorm) key = pass.replace(key, pass.norm(key, keyNorm));
  };
  if (!normsRotated) norms();
  if (queryRotation && rotation) {
    rope(pass.context, [query], input.positions, pass.ropeTable(queryRotation), headWidth);
    rope(pass.context, [key], input.positions, pass.ropeTable(rotation), headWidth);
  } else if (rotation) {
    rope(pass.context, [query, key], input.positions, pass.ropeTable(rotation), headWidth);
  }
  if (normsRotated) norms();
  // The keys and values of a prefix are trained; what else the rows of its tokens hold is never read.
  const prefix = probes.adapter?.prefix?.[layer];
  if (prefix) {
    pass.fillIn(key, prefix.keys, keyAxis(sublayer));
    pass.fillIn(value, prefix.values, keyAxis(sublayer));
  }
  let keys = key.buffer;
  let values = value.buffer;
  if (input.cache) {
    const { cache, slots } = input.cache;
    keys = cache.keys[layer]!;
    values = cache.values[layer]!;
    storeRows(pass.context, key, value, slots, { keys, values });
  }
  let mixed = attention(pass.context, query, keys, values, {
    heads,
    keyHeads,
    headWidth,
    ranges: sublayer.window === undefined ? input.ranges : input.windowRanges!,
    keyStride: input.cache ? 0 : input.rows,
    ...(input.longest === undefined ? {} : { longest: input.longest }),
    ...(sublayer.scale === undefined ? {} : { scale: sublayer.scale }),
    ...(sublayer.softCap === undefined ? {} : { softCap: sublayer.softCap }),
    ...(sublayer.sinks === undefined ? {} : { sinks: sublayer.sinks }),
    ...(sublayer.alibi === undefined ? {} : { alibi: pass.alibi(sublayer.alibi) }),
  });
  workspace.give(query, key, value);
  if (gates) {
    gate(pass.context, gates, mixed, 'sigmoid');
    mixed = pass.replace(mixed, gates);
  }
  pass.addTo(hidden, mixed, sublayer.output, sublayer);
  workspace.give(mixed);
}

/** Queries, keys and values. */
function project(pass: Pass, sublayer: AttentionSublayer, read: Activation): [Activation, Activation, Activation] {
  if (!('packed' in sublayer)) {
    return pass.linears(read, sublayer.query, sublayer.key, sublayer.value) as [Activation, Activation, Activation];
  }
  const packed = pass.linear(read, sublayer.packed);
  const parts = split(pass.context, packed, sublayer);
  pass.context.workspace.give(packed);
  return parts;
}
