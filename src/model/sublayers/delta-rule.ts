/**
 * The gated delta rule, as Qwen 3.5, Qwen 3 Next and OLMo Hybrid have it.
 *
 * @module
 */

import { convolve } from '../../ops/convolution.ts';
import { deltaRule } from '../../ops/delta-rule.ts';
import { join } from '../../ops/join.ts';
import { gate } from '../../ops/rows.ts';
import { regroup } from '../../ops/split.ts';
import type { Activation } from '../../tensor/workspace.ts';
import type { DeltaRuleSublayer } from '../decoder.ts';
import type { Pass } from '../pass.ts';

/**
 * Records the projections, the convolution, the rule itself and its gated norm.
 *
 * @param read what the sublayer reads; `done` is called when nothing reads it any more
 * @param hidden receives the sum
 */
export function recordDeltaRule(
  pass: Pass,
  sublayer: DeltaRuleSublayer,
  read: Activation,
  done: () => void,
  hidden: Activation,
): void {
  const { context } = pass;
  const { workspace } = context;
  const { convolution, activation, heads, keyHeads, keyWidth, valueWidth } = sublayer;
  const { runs, state } = pass.nextRecurrence();
  const [mixed, gates, learning, forgetting] = project(pass, sublayer, read);
  done();
  const inputs = { ...convolution, activation, runs, ...(state ? { state: state.inputs } : {}) };
  const convolved = pass.replace(mixed, convolve(context, mixed, inputs));
  const found = deltaRule(context, convolved, learning, forgetting, {
    ...{ heads, keyHeads, keyWidth, valueWidth, runs },
    rate: sublayer.forgettingRate,
    bias: sublayer.forgettingBias,
    ...(sublayer.learningScale === undefined ? {} : { learningScale: sublayer.learningScale }),
    ...(state?.matrices ? { state: state.matrices } : {}),
  });
  workspace.give(convolved, learning, forgetting);
  const normed = pass.replace(found, pass.norm(found, sublayer.norm));
  gate(context, gates, normed, 'silu');
  workspace.give(normed);
  pass.addTo(hidden, gates, sublayer.output, sublayer);
  workspace.give(gates);
}

/** Queries, keys and values; what gates them; what is learnt, and what is forgotten. */
function project(
  pass: Pass,
  sublayer: DeltaRuleSublayer,
  read: Activation,
): [Activation, Activation, Activation, Activation] {
  const { context } = pass;
  if ('mixed' in sublayer) {
    const { mixed, gate, learning, forgetting } = sublayer;
    const made = pass.linears(read, mixed, gate, learning, forgetting);
    return made as [Activation, Activation, Activation, Activation];
  }
  if ('query' in sublayer) {
    const { query, key, value, gate, learning, forgetting } = sublayer;
    const made = pass.linears(read, query, key, value, gate, learning, forgetting);
    const parts = made.slice(0, 3);
    const places = parts.map(({ buffer, columns }) => ({ buffer, offset: 0, stride: columns, size: columns }));
    const mixed = join(context, read.rows, places);
    context.workspace.give(...parts);
    return [mixed, ...made.slice(3)] as [Activation, Activation, Activation, Activation];
  }
  const { heads, keyHeads, keyWidth, valueWidth } = sublayer;
  const sharing = heads / keyHeads;
  const [packed, rates] = pass.linears(read, sublayer.packed, sublayer.rates) as [Activation, Activation];
  const pieces = [keyWidth, keyWidth, sharing * valueWidth, sharing * valueWidth];
  const mixed = regroup(context, packed, { groups: keyHeads, pieces, first: 0, count: 3 });
  const gates = regroup(context, packed, { groups: keyHeads, pieces, first: 3, count: 1 });
  context.workspace.give(packed);
  const numbers = { groups: keyHeads, pieces: [sharing, sharing], count: 1 as const };
  const learning = regroup(context, rates, { ...numbers, first: 0 });
  const forgetting = regroup(context, rates, { ...numbers, first: 1 });
  context.workspace.give(rates);
  return [mixed, gates, learning, forgetting];
}
