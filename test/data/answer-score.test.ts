import { expect, test } from 'vitest';
import { bestTokenF1, isExactMatch, normalizeAnswer, tokenF1 } from '../../src/data/index.ts';
import { addAnswers, answerScore, meanOfAnswers, noAnswers } from '../../src/objectives/answers.ts';

test('normalizeAnswer drops case, punctuation and articles', () => {
  expect(normalizeAnswer('  The Old-Bridge, a "landmark"!  ')).toBe('oldbridge landmark');
  expect(normalizeAnswer('Theatre of an anthem')).toBe('theatre of anthem');
  expect(normalizeAnswer('the')).toBe('');
});

test('tokenF1 counts words with their multiplicity', () => {
  expect(tokenF1('the old bridge', 'Old bridge.')).toBe(1);
  expect(tokenF1('old bridge', 'bridge')).toBeCloseTo(2 / 3, 12);
  expect(tokenF1('a b b', 'b c b')).toBeCloseTo(0.8, 12);
  expect(tokenF1('x x x', 'x')).toBeCloseTo(0.5, 12);
  expect(tokenF1('one', 'two')).toBe(0);
  expect(tokenF1('', 'two')).toBe(0);
  expect(tokenF1('the', 'an')).toBe(1);
});

test('bestTokenF1 takes the best reference', () => {
  expect(bestTokenF1('in 1871', ['1872', 'in 1871'])).toBe(1);
  expect(bestTokenF1('x', [])).toBe(0);
});

test('isExactMatch compares normalised answers with each reference', () => {
  expect(isExactMatch('The old bridge.', ['a tower', 'Old Bridge'])).toBe(true);
  expect(isExactMatch('old bridge in 1871', ['old bridge'])).toBe(false);
  expect(isExactMatch('x', [])).toBe(false);
});

test('scores of answers add up to means; none have none', () => {
  const sums = [
    answerScore('in 1871', ['1871', 'in 1871']),
    answerScore('old bridge', ['bridge']),
    answerScore('', ['two']),
  ].reduce(addAnswers, noAnswers);
  expect(sums).toEqual({ answers: 3, f1: 1 + 2 / 3, exactMatches: 1 });
  expect(meanOfAnswers(sums)).toEqual({ f1: (1 + 2 / 3) / 3, exactMatch: 1 / 3 });
  expect(meanOfAnswers(noAnswers)).toEqual({ f1: null, exactMatch: null });
});
