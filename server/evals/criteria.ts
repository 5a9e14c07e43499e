/**
 * Testing criteria: graders with the score from which an item passes.
 *
 * @module
 */

import { SubzeroError } from '../../src/errors.ts';
import { type Grader, parseGrader } from '../../src/graders/index.ts';

export interface Criterion {
  grader: Grader;
  /** Scores from here on pass. */
  threshold: number;
}

/**
 * Reads the criteria of an evaluation: graders, with `pass_threshold` beside their fields; the highest score where it
 * is not given.
 * @throws SubzeroError whose parameter is the field as the request has it
 */
export async function readCriteria(descriptions: readonly Record<string, unknown>[]): Promise<Criterion[]> {
  const criteria: Criterion[] = [];
  for (const [index, { pass_threshold: given, ...description }] of descriptions.entries()) {
    const at = `testing_criteria.${index}`;
    if (given !== undefined && (typeof given !== 'number' || !Number.isFinite(given))) {
      throw new SubzeroError('invalid_argument', `${at}.pass_threshold: expected a number`, {
        parameter: `${at}.pass_threshold`,
      });
    }
    try {
      const grader = await parseGrader(description);
      criteria.push({ grader, threshold: given ?? highest(grader) });
    } catch (error) {
      if (!(error instanceof SubzeroError)) throw error;
      throw new SubzeroError(error.code, `${at}.${error.message}`, { parameter: `${at}.${error.parameter}` });
    }
  }
  const names = criteria.map(({ grader }) => grader.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return criteria;
  throw new SubzeroError('invalid_argument', `two criteria have the name "${twice}"`, {
    parameter: 'testing_criteria',
  });
}

function highest(grader: Grader): number {
  return grader.type === 'score_model' ? grader.range[1] : 1;
}
