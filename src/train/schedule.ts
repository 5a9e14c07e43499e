/**
 * The learning rate over the steps of a run.
 *
 * @module
 */

import type { TrainConfiguration } from '../settings/configuration.ts';

/**
 * η of a step: linear warm-up from 0, then constant, or falling to 0 at the last step (linearly, or along half a
 * cosine).
 *
 * @param step zero-based
 * @returns exactly an f32, as the journal keeps it
 */
export function learningRateAt(step: number, configuration: TrainConfiguration): number {
  const { learningRate, schedule, warmupSteps, steps } = configuration;
  if (step < warmupSteps) return Math.fround((learningRate * (step + 1)) / warmupSteps);
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
  const factor = { constant: 1, linear: 1 - progress, cosine: 0.5 * (1 + Math.cos(Math.PI * progress)) }[schedule];
  return Math.fround(learningRate * factor);
}
