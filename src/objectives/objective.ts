/**
 * Objectives: what a run minimises, one file each with the formula. A row of src/settings/objectives.ts says which
 * examples an objective learns from and whether it compares with the base.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import type { ObjectiveName } from '../settings/objectives.ts';
import { accuracy } from './accuracy.ts';
import { withDrift } from './anchor.ts';
import { type ExampleScore, type LossSums, lossOf } from './loss.ts';
import { dpo, ipo, orpo } from './preference.ts';

/**
 * What an example adds to the sums of a batch under one probe.
 * @param score what the probe says of the example
 * @param base what the base model says of it, without probe and change; given where the run compares with the base
 */
export type Objective = (example: TokenizedExample, score: ExampleScore, base?: ExampleScore) => LossSums;

const makers: Readonly<Record<ObjectiveName, (configuration: TrainConfiguration) => Objective>> = {
  auto: () => lossOf,
  dpo,
  ipo,
  orpo,
  accuracy,
  // Its numbers come from generated answers, see train/rewards.ts; nothing is scored.
  reward: () => lossOf,
};

/** The objective of a run, with its anchor. Examples that it does not learn from have the loss of their data. */
export function createObjective(configuration: TrainConfiguration): Objective {
  return withDrift(makers[configuration.objective](configuration), configuration.anchor);
}
