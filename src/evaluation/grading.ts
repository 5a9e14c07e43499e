/**
 * Outcomes graded: their rewards.
 *
 * @module
 */

import { concurrently } from '../concurrently.ts';
import { SubzeroError } from '../errors.ts';
import { plural } from '../format.ts';
import { type Grader, type GraderServices, grade } from '../graders/index.ts';
import type { Outcome } from './outcome.ts';

/** Answers graded at once; those of judging models are generated together. */
const gradedAtOnce = 32;

/** Answers that could not be graded, whose reward is 0. */
export interface GradingFailures {
  count: number;
  /** What went wrong with the first of them; empty if nothing did. */
  first: string;
}

/** What could not be graded of so many answers, of which some could not. */
export function ungradedText({ count, first }: GradingFailures, answers: number, of = ''): string {
  const what =
    count === answers
      ? `none of the ${plural(answers, 'answer')}${of} could be graded (each is taken as 0)`
      : `${plural(count, 'answer')}${of} could not be graded (taken as 0)`;
  return `${what}; the first: ${first}`;
}

/**
 * Sets the rewards of outcomes.
 * @param outcomes with rows, and with answers
 * @throws SubzeroError `invalid_argument` where there are no answers to grade; `cancelled`
 */
export async function gradeOutcomes(
  grader: Grader,
  outcomes: readonly Outcome[],
  services: GraderServices,
  signal?: AbortSignal,
): Promise<GradingFailures> {
  const failures: GradingFailures = { count: 0, first: '' };
  await concurrently(
    outcomes,
    gradedAtOnce,
    async (outcome) => {
      const { answer, item = {}, source } = outcome;
      if (answer === undefined) {
        throw new SubzeroError('invalid_argument', `${source ?? 'a row'} has no answer that could be graded`, {
          parameter: 'grader',
        });
      }
      const { reward, failures: found } = await grade(grader, { outputText: answer, item }, services);
      outcome.reward = reward;
      if (found.length === 0) return;
      failures.count++;
      failures.first ||= `${source ?? 'a row'}: ${found[0]!.message}`;
    },
    signal,
  );
  if (signal?.aborted) throw new SubzeroError('cancelled', 'the grading was cancelled');
  return failures;
}
