/**
 * How far a model has drifted from its base, and an anchor that holds it there: ½(log p − log p₀)², the mean over the
 * label tokens.
 *
 * Where the tokens are the base's own it is KL(base ‖ model) to second order, and so is that in the other direction. It
 * asks for one number a label token of the base, where the divergence itself asks for all logits of a row, so the base
 * need not be in memory once it has been looked at: weights may be written. Of the estimators with one number (k1, k2,
 * k3 of http://joschu.net/blog/kl-approx.html) k1 is negative half of the time and k3 grows exponentially on one side,
 * which the differences of zeroth-order steps amplify; this one, k2, is never negative, 0 only where nothing has
 * changed, and quadratic.
 *
 * @module
 */

import type { ExampleScore, LossSums } from './loss.ts';
import type { Objective } from './objective.ts';

/** Σ ½(log p − log p₀)² over the label tokens of an example, in nats. */
export function driftOf(score: ExampleScore, base: ExampleScore): number {
  let sum = 0;
  for (const [continuation, tokens] of score.tokens.entries()) {
    for (const [index, logprob] of tokens.entries()) {
      const difference = logprob - base.tokens[continuation]![index]!;
      sum += (difference * difference) / 2;
    }
  }
  return sum;
}

/** An objective that measures the drift of every example whose base is known, and adds `weight` times as much. */
export function withDrift(objective: Objective, weight: number): Objective {
  return (example, score, base) => {
    const sums = objective(example, score, base);
    return base ? addDrift(sums, { sum: driftOf(score, base), count: sums.tokens }, weight) : sums;
  };
}

/** Completions count by tokens, all others by examples. */
function addDrift(sums: LossSums, drift: { sum: number; count: number }, weight: number): LossSums {
  const measures = { ...sums.measures, drift };
  if (weight === 0) return { ...sums, measures };
  return sums.completionExamples > 0
    ? { ...sums, completionLoss: sums.completionLoss + weight * drift.sum, measures }
    : { ...sums, optionLoss: sums.optionLoss + (weight * drift.sum) / drift.count, measures };
}
