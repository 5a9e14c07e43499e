/**
 * Accuracy itself, which has no gradient: 1 for an example whose right option is not the best one.
 *
 * @module
 */

import { lossOf } from './loss.ts';
import type { Objective } from './objective.ts';

export const accuracy = (): Objective => (example, score) => {
  const sums = lossOf(example, score);
  return { ...sums, optionLoss: sums.optionExamples - sums.correct };
};
