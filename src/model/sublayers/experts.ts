/**
 * Mixtures of experts.
 *
 * @module
 */

import { addShared, combine, gatePairs, gatherPairs, groupRows, type RowGroups } from '../../ops/experts.ts';
import { groupedLinear } from '../../ops/grouped.ts';
import { add, gate, gatePacked } from '../../ops/rows.ts';
import { scaleActivation } from '../../ops/scale.ts';
import type { WeightStack } from '../../tensor/weight.ts';
import type { Activation } from '../../tensor/workspace.ts';
import type { ExpertLinears, ExpertsSublayer, Norm, SharedExpert } from '../decoder.ts';
import type { Pass } from '../pass.ts';

/**
 * Records the router, the experts over the rows that come to them, and the weighted sum.
 *
 * @param read what the sublayer reads; `done` is called when nothing reads it any more
 * @param hidden the sum, which the router and the shared expert read by themselves where they have norms of their own
 */
export function recordExperts(
  pass: Pass,
  sublayer: ExpertsSublayer,
  read: Activation,
  done: () => void,
  hidden: Activation,
): void {
  const { context } = pass;
  const { workspace } = context;
  const { routing } = sublayer;
  const logits = through(pass, sublayer.routerNorm, hidden, read, (x) => pass.linear(x, sublayer.router));
  if (routing.logitScale !== undefined) scaleActivation(context, logits, routing.logitScale);
  const groups = groupRows(context, logits, routing);
  workspace.give(logits);
  const { shared: expert } = sublayer;
  const shared =
    expert && through(pass, expert.before, hidden, read, (x) => recordShared(pass, expert, sublayer.activation, x));
  const x = gatherPairs(context, read, groups);
  done();
  const gated = recordGates(pass, sublayer, x, groups);
  const made = groupedLinear(context, gated, stackOf(pass, sublayer.down), groups);
  workspace.give(gated);
  const { bias } = sublayer.down;
  let result = combine(context, made, groups, {
    ...routing,
    ...(bias ? { bias: { name: bias, width: sublayer.down.matrices[0]!.rows.width } } : {}),
  });
  workspace.give(made, ...groups.memory);
  if (sublayer.afterExperts) result = pass.replace(result, pass.norm(result, sublayer.afterExperts));
  if (shared) {
    if (shared.gates) addShared(context, result, shared.result, shared.gates);
    else add(context, result, shared.result);
    workspace.give(shared.result, ...(shared.gates ? [shared.gates] : []));
  }
  pass.addResult(hidden, result, sublayer);
}

/** What is made of the sum through a norm, or, where there is none, of what the sublayer reads. */
function through<T>(
  pass: Pass,
  norm: Norm | undefined,
  hidden: Activation,
  read: Activation,
  make: (x: Activation) => T,
): T {
  if (!norm) return make(read);
  const normed = pass.norm(hidden, norm);
  const made = make(normed);
  pass.context.workspace.give(normed);
  return made;
}

/** What is inside of the experts, of x, which is given back. */
function recordGates(pass: Pass, sublayer: ExpertsSublayer, x: Activation, groups: RowGroups): Activation {
  const { context } = pass;
  const { workspace } = context;
  const { activation } = sublayer;
  if ('packed' in sublayer) {
    const packed = pass.replace(x, groupedLinear(context, x, stackOf(pass, sublayer.packed), groups));
    const { interleaved, clamped } = sublayer;
    const { bias } = sublayer.packed;
    const inner = sublayer.down.matrices[0]!.columns;
    const options = { inner, interleaved, activation, ...(bias ? { bias } : {}), ...(clamped ? { clamped } : {}) };
    return pass.replace(packed, gatePairs(context, packed, groups, options));
  }
  const gated = groupedLinear(context, x, stackOf(pass, sublayer.gate), groups);
  const up = groupedLinear(context, x, stackOf(pass, sublayer.up), groups);
  workspace.give(x);
  gate(context, gated, up, activation);
  workspace.give(up);
  return gated;
}

/** What the feed-forward layer for all tokens gives, and the logits of what it is multiplied by. */
function recordShared(
  pass: Pass,
  shared: SharedExpert,
  activation: ExpertsSublayer['activation'],
  read: Activation,
): { result: Activation; gates?: Activation } {
  const { workspace } = pass.context;
  const scale = shared.scale ? [shared.scale] : [];
  let inner: Activation;
  let gates: Activation | undefined;
  if ('packed' in shared) {
    const made = pass.linears(read, ...scale, shared.packed).reverse() as [Activation, Activation?];
    inner = pass.replace(made[0], gatePacked(pass.context, made[0], activation));
    gates = made[1];
  } else {
    const made = pass.linears(read, ...scale, shared.gate, shared.up).reverse();
    const [up, gated] = made as [Activation, Activation, Activation?];
    gate(pass.context, gated, up, activation);
    workspace.give(up);
    inner = gated;
    gates = made[2];
  }
  let result = pass.linear(inner, shared.down);
  workspace.give(inner);
  if (shared.after) result = pass.replace(result, pass.norm(result, shared.after));
  return { result, ...(gates ? { gates } : {}) };
}

function stackOf({ model }: Pass, { matrices }: ExpertLinears): WeightStack {
  return model.weight(matrices[0]!.weight).stack!;
}
