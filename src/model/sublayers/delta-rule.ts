/**
 * The gated delta rule, as Qwen 3.5 has it.
 *
 * @module
 */

import { convolve } from '../../ops/convolution.ts';
import { deltaRule } from '../../ops/delta-rule.ts';
import { gate } from '../../ops/rows.ts';
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
  const [mixed, gates, learning, forgetting] = pass.linears(
    read,
    sublayer.mixed,
    sublayer.gate,
    sublayer.learning,
    sublayer.forgetting,
  ) as [Activation, Activation, Activation, Activation];
  done();
  const inputs = { ...convolution, activation, runs, ...(state ? { state: state.inputs } : {}) };
  const convolved = pass.replace(mixed, convolve(context, mixed, inputs));
  const found = deltaRule(context, convolved, learning, forgetting, {
    ...{ heads, keyHeads, keyWidth, valueWidth, runs },
    rate: sublayer.forgettingRate,
    bias: sublayer.forgettingBias,
    ...(state?.matrices ? { state: state.matrices } : {}),
  });
  workspace.give(convolved, learning, forgetting);
  const normed = pass.replace(found, pass.norm(found, sublayer.norm));
  gate(context, gates, normed, 'silu');
  workspace.give(normed);
  pass.addTo(hidden, gates, sublayer.output, sublayer);
  workspace.give(gates);
}
