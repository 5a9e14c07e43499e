import type { EvaluationResult } from '../engine/types.ts';
import { formatFixed, snakeCase } from '../format.ts';

/** The scores that an evaluation has beside its loss, each with a comma behind it. */
export function scoresText({
  accuracy,
  f1,
  exactMatch,
  measures = {},
}: Pick<EvaluationResult, 'accuracy' | 'f1' | 'exactMatch' | 'measures'>): string {
  const named = Object.entries(measures).map(([name, value]) => [snakeCase(name).replaceAll('_', ' '), value]);
  const scores: Record<string, number | null> = {
    ...{ accuracy, F1: f1, 'exact match': exactMatch },
    ...Object.fromEntries(named),
  };
  return Object.entries(scores)
    .map(([name, score]) => (score === null ? '' : `${name} ${formatFixed(score)}, `))
    .join('');
}
