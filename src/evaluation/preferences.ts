/**
 * Outcomes of preferences beside those of the base that a preference is learnt against.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { softplus } from '../objectives/softplus.ts';
import { checkSameRows } from './measure.ts';
import type { Outcome } from './outcome.ts';

/**
 * The margins of preferences above those of the base, and their DPO losses.
 * @param base of the base, on the same rows
 * @param beta DPO's β
 * @throws SubzeroError `invalid_argument` for rows that are no preferences; `invalid_data` for other rows than those of
 *   the base
 */
export function relativeToBase(outcomes: readonly Outcome[], base: readonly Outcome[], beta: number): Outcome[] {
  checkSameRows(base, outcomes);
  return outcomes.map((outcome, index) => {
    const of = base[index]!.margin;
    if (outcome.margin === undefined || of === undefined) throw noPreference(outcome.source);
    const margin = outcome.margin - of;
    return { ...outcome, margin, dpoLoss: softplus(-beta * margin) };
  });
}

/** What is said of rows that a base is compared with on in vain. */
export function noPreference(source = 'a row'): SubzeroError {
  const problem = `${source} is no preference, which is what a base is compared with on`;
  return new SubzeroError('invalid_argument', problem, { parameter: 'base' });
}
