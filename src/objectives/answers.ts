/**
 * Scores of generated answers, as sums that add.
 *
 * @module
 */

import { bestTokenF1, isExactMatch } from '../data/answer-score.ts';

/** What some answers add to their scores. */
export interface AnswerSums {
  answers: number;
  /** Σ of the best token F1 over the answers that count as right. */
  f1: number;
  exactMatches: number;
}

/** The sums of no answers. */
export const noAnswers: AnswerSums = { answers: 0, f1: 0, exactMatches: 0 };

/** The sums of one answer. @param references all answers that count as right */
export function answerScore(answer: string, references: readonly string[]): AnswerSums {
  return {
    answers: 1,
    f1: bestTokenF1(answer, references),
    exactMatches: isExactMatch(answer, references) ? 1 : 0,
  };
}

/** The sums of two parts together. */
export function addAnswers(a: AnswerSums, b: AnswerSums): AnswerSums {
  return { answers: a.answers + b.answers, f1: a.f1 + b.f1, exactMatches: a.exactMatches + b.exactMatches };
}

/** The means that sums stand for, from 0 to 1; `null` of no answers. */
export function meanOfAnswers(sums: AnswerSums): { f1: number | null; exactMatch: number | null } {
  const { answers, f1, exactMatches } = sums;
  return answers === 0 ? { f1: null, exactMatch: null } : { f1: f1 / answers, exactMatch: exactMatches / answers };
}
