/**
 * What a run minimises, bound to its examples: the objective of its settings, and what it needs of the base.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { BatchSampler } from '../data/sampling.ts';
import { SubzeroError } from '../errors.ts';
import type { Grader } from '../graders/index.ts';
import type { ExampleLoss } from '../objectives/loss.ts';
import { createObjective } from '../objectives/objective.ts';
import { comparesWithBase, type TrainConfiguration } from '../settings/configuration.ts';
import { type ObjectiveName, objectives, preferenceObjective } from '../settings/objectives.ts';
import { parameter, words } from '../words.ts';
import type { BaseScores } from './base-scores.ts';

/** The objective that settings mean with these examples. */
export function meantObjective(
  { objective }: Pick<TrainConfiguration, 'objective'>,
  examples: readonly TokenizedExample[],
): ObjectiveName {
  return objective === 'auto' && examples[0]?.kind === 'preference' ? preferenceObjective : objective;
}

/**
 * The objective that settings mean with these training examples.
 * @throws SubzeroError `invalid_argument` for examples that it does not learn from
 */
export function objectiveFor(
  settings: Pick<TrainConfiguration, 'objective'>,
  examples: readonly TokenizedExample[],
): ObjectiveName {
  const meant = meantObjective(settings, examples);
  const { learnsFrom } = objectives[meant];
  const other = examples.find(({ kind }) => !learnsFrom.includes(kind));
  if (other === undefined) return meant;
  const data =
    `learns from examples of kind ${learnsFrom.join(' or ')}; the training data hold one of kind ` + `${other.kind}`;
  throw new SubzeroError('invalid_argument', words`${parameter('objective')} ${meant} ${data}`, {
    parameter: 'objective',
  });
}

/**
 * The objective that is meant where there is a grader, or none.
 * @throws SubzeroError `invalid_argument` for a grader that nothing asks, or an objective that lacks one
 */
export function objectiveWith(
  { objective }: Pick<TrainConfiguration, 'objective'>,
  grader: Grader | undefined,
): ObjectiveName {
  if (grader && objective === 'auto') return 'reward';
  const asks = objectives[objective].generates ?? false;
  if (asks === (grader !== undefined)) return objective;
  const problem = asks ? 'needs a grader, which says what an answer is worth' : 'asks no grader; leave the grader out';
  throw new SubzeroError('invalid_argument', words`${parameter('objective')} ${objective} ${problem}`, {
    parameter: asks ? 'grader' : 'objective',
  });
}

/** What an example adds to the loss of a run. @param base given where the run compares with the base */
export function lossOfRun(configuration: TrainConfiguration, base: BaseScores | undefined): ExampleLoss {
  const objective = createObjective(configuration);
  return comparesWithBase(configuration) && base
    ? (example, score) => objective(example, score, base.of(example))
    : objective;
}

/** The training examples that the steps of a run see. @param from steps done */
export function drawnExamples(
  examples: readonly TokenizedExample[],
  sampler: BatchSampler,
  { from, to }: { from: number; to: number },
): TokenizedExample[] {
  const rows = new Set<number>();
  for (let step = from; step < to && rows.size < examples.length; step++) {
    for (const row of sampler.batch(step)) rows.add(row);
  }
  return [...rows].sort((a, b) => a - b).map((row) => examples[row]!);
}
