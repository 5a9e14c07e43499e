/**
 * A live run in its smallest form: the calls that make one step, in the order in which a training loop makes them.
 *
 * @module
 */

import type { TokenizedExample } from '../../../src/data/example.ts';
import { batchLoss } from '../../../src/objectives/loss.ts';
import type { TrainConfiguration } from '../../../src/settings/configuration.ts';
import type { Scorer } from '../../../src/train/score.ts';
import type { AppliedStep, Measurement, ZerothOrderOptimizer } from '../../../src/zo/optimizer.ts';

export interface LiveRun {
  optimizer: ZerothOrderOptimizer;
  scorer: Scorer;
  configuration: TrainConfiguration;
}

/** Losses of every probe of a step; leaves the state as it was. */
export async function probe(
  { optimizer, scorer }: LiveRun,
  examples: readonly TokenizedExample[],
  step: number,
): Promise<number[]> {
  if (optimizer.waits(step)) await optimizer.renew(step);
  optimizer.beginStep(step);
  const scores = await scorer.scoreStep(examples, optimizer, step);
  return scores.map((list) => batchLoss(examples, list).loss);
}

/**
 * One whole step.
 * @param forced what to apply instead of what was measured
 * @returns the losses, and the step as a journal would have it
 */
export async function liveStep(
  run: LiveRun,
  examples: readonly TokenizedExample[],
  step: number,
  forced?: Measurement,
): Promise<{ losses: number[]; measured: Measurement; applied: AppliedStep }> {
  const losses = await probe(run, examples, step);
  const measured = run.optimizer.measure(losses, step);
  const learningRate = Math.fround(run.configuration.learningRate);
  const applied: AppliedStep = { step, learningRate, ...(forced ?? measured) };
  run.optimizer.update(applied);
  return { losses, measured, applied };
}
