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
import type { RopePosition } from '../rope-table.ts';

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
  const layer = 'keysOf' in sublayer ? sublayer.keysOf : pass.keyMakerCount++;
  let { query, key, value } = project(pass, sublayer, read);
  done();
  let gates: Activation | undefined;
  if (sublayer.gated) {
    const both = query;
    [query, gates] = splitHeads(pass.context, both, keyAxis(sublayer).stride);
    workspace.give(both);
  }
  const norms = (): void => {
    if (queryNorm) query = pass.replace(query, pass.norm(query, queryNorm));
    if (key && keyNorm) key = pass.replace(key, pass.norm(key, keyNorm));
  };
  if (!normsRotated) norms();
  const turn = (turned: Parameters<typeof rope>[1], by: RopePosition): void =>
    rope(pass.context, turned, input.positions, pass.ropeTable(by), headWidth);
  if (queryRotation && rotation) {
    turn([query], queryRotation);
    if (key) turn([key], rotation);
  } else if (rotation) {
    turn(key ? [query, key] : [query], rotation);
  }
  if (normsRotated) norms();
  // The keys and values of a prefix are trained; what else the rows of its tokens hold is never read.
  const prefix = probes.adapter?.prefix?.[layer];
  if (prefix && key && value) {
    pass.fillIn(key, prefix.keys, keyAxis(sublayer));
    pass.fillIn(value, prefix.values, keyAxis(sublayer));
  }
  const made = key && value ? ([key, value] as const) : input.cache ? undefined : pass.keptKeys(layer);
  const { keys, values } = input.cache
    ? { keys: input.cache.cache.keys[layer]!, values: input.cache.cache.values[layer]! }
    : { keys: made![0].buffer, values: made![1].buffer };
  if (input.cache && made) storeRows(pass.context, ...made, input.cache.slots, { keys, values });
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
  workspace.give(query);
  // A cache keeps them by itself.
  if (made && input.cache) workspace.give(...made);
  else if (made) pass.doneWithKeys(layer, made);
  if (gates) {
    gate(pass.context, gates, mixed, 'sigmoid');
    mixed = pass.replace(mixed, gates);
  }
  pass.addTo(hidden, mixed, sublayer.output, sublayer);
  workspace.give(mixed);
}

/** Queries, and the keys and values that the layer makes itself, these through their norm. */
interface Projected {
  query: Activation;
  key?: Activation;
  value?: Activation;
}

function project(pass: Pass, sublayer: AttentionSublayer, read: Activation): Projected {
  if ('packed' in sublayer) {
    const packed = pass.linear(read, sublayer.packed);
    const [query, key, value] = split(pass.context, packed, sublayer);
    pass.context.workspace.give(packed);
    return withValueNorm(pass, sublayer, { query, key, value });
  }
  if ('value' in sublayer) {
    const [query, key, value] = pass.linears(read, sublayer.query, sublayer.key, sublayer.value);
    return withValueNorm(pass, sublayer, { query: query!, key: key!, value: value! });
  }
  if ('key' in sublayer) {
    const [query, key] = pass.linears(read, sublayer.query, sublayer.key);
    return { query: query!, key: key!, value: pass.norm(key!, sublayer.valueNorm) };
  }
  return { query: pass.linear(read, sublayer.query) };
}

function withValueNorm(pass: Pass, { valueNorm }: AttentionSublayer, made: Required<Projected>): Projected {
  return valueNorm ? { ...made, value: pass.replace(made.value, pass.norm(made.value, valueNorm)) } : made;
}
