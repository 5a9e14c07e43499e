/**
 * Scores of generated answers, as the SQuAD evaluation defines them (Rajpurkar et al. 2016).
 *
 * @module
 */

/** Most tokens of an answer in the MeZO protocol. */
export const answerTokens = 50;

/** Lower case, without ASCII punctuation, without articles, with single spaces. */
export function normalizeAnswer(text: string): string {
  return text
    .toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, '')
    .replace(/(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu, ' ')
    .split(/\s+/)
    .filter((word) => word !== '')
    .join(' ');
}

/** The harmonic mean of precision and recall over normalised words; 1 for two empty answers. */
export function tokenF1(answer: string, reference: string): number {
  const words = (text: string) => normalizeAnswer(text).split(' ').filter(Boolean);
  const given = words(answer);
  const wanted = words(reference);
  if (given.length === 0 || wanted.length === 0) return given.length === wanted.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of given) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    common++;
  }
  return common === 0 ? 0 : (2 * common) / (given.length + wanted.length);
}

/** The best {@link tokenF1} over all answers that count as right. */
export function bestTokenF1(answer: string, references: readonly string[]): number {
  return Math.max(0, ...references.map((reference) => tokenF1(answer, reference)));
}

/** Whether an answer is one of those that count as right, after {@link normalizeAnswer}. */
export function isExactMatch(answer: string, references: readonly string[]): boolean {
  const given = normalizeAnswer(answer);
  return references.some((reference) => normalizeAnswer(reference) === given);
}
