import type { EvaluationResult } from '../engine/types.ts';

/** The scores that an evaluation has beside its loss, each with a comma behind it. */
export function scoresText({
  accuracy,
  f1,
  exactMatch,
}: Pick<EvaluationResult, 'accuracy' | 'f1' | 'exactMatch'>): string {
  const scores = { accuracy, F1: f1, 'exact match': exactMatch };
  return Object.entries(scores)
    .map(([name, score]) => (score === null ? '' : `${name} ${score.toFixed(4)}, `))
    .join('');
}
