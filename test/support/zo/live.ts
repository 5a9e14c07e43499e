/**
 * A live run in its smallest form: the calls that make one step, in the order in which a training loop makes them.
 *
 * @module
 */

import type { TokenizedExample } from '../../../src/data/example.ts';
import type { TrainConfiguration } from '../../../src/train/configuration.ts';
import { batchLoss, type Scorer } from '../../../src/train/score.ts';
import { type AppliedStep, projectedGradients, type SubZero } from '../../../src/zo/subzero.ts';

export interface LiveRun {
  subzero: SubZero;
  scorer: Scorer;
  configuration: TrainConfiguration;
}

/** Losses of every probe of a step; leaves the state as it was. */
export async function probe(
  { subzero, scorer }: LiveRun,
  examples: readonly TokenizedExample[],
  step: number,
): Promise<number[]> {
  subzero.beginStep(step);
  const scores = await scorer.score(examples, subzero.perturb(step));
  return scores.map((list) => batchLoss(examples, list).loss);
}

/**
 * One whole step.
 * @param forced ρ to apply instead of the measured one
 * @returns the losses, and the step as a journal would have it
 */
export async function liveStep(
  run: LiveRun,
  examples: readonly TokenizedExample[],
  step: number,
  forced?: readonly number[],
): Promise<{ losses: number[]; measured: number[]; applied: AppliedStep }> {
  const losses = await probe(run, examples, step);
  const measured = projectedGradients(losses, run.configuration);
  const applied: AppliedStep = {
    step,
    learningRate: Math.fround(run.configuration.learningRate),
    projectedGradients: forced ?? measured,
  };
  run.subzero.update(applied);
  return { losses, measured, applied };
}
