/** The measures against the values of sacrebleu, NLTK, rapidfuzz and rouge-score (test/reference/graders.py). */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cosine, similarities } from '../../src/graders/text-similarity.ts';

type Case = { text: string; reference: string } & Record<keyof typeof similarities, number>;
const cases: Case[] = JSON.parse(readFileSync(new URL('../fixtures/golden/graders.json', import.meta.url), 'utf8'));

test.each(Object.keys(similarities) as (keyof typeof similarities)[])('%s', (metric) => {
  expect(cases.length).toBeGreaterThan(70);
  for (const each of cases) {
    const { text, reference } = each;
    const value = similarities[metric](text, reference);
    expect(
      Math.abs(value - each[metric]),
      `${JSON.stringify([text, reference])}: ${value}, not ${each[metric]}`,
    ).toBeLessThan(1e-9);
  }
});

test('cosine', () => {
  expect(cosine([3, 4], [6, 8])).toBeCloseTo(1, 15);
  expect(cosine([1, 0], [0, 1])).toBe(0);
  expect(cosine([1, 1], [-2, -2])).toBeCloseTo(-1, 15);
  expect(cosine([0, 0], [1, 1])).toBe(0);
});
