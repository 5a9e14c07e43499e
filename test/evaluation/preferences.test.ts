import { expect, test } from 'vitest';
import { measure } from '../../src/evaluation/measure.ts';
import { usualMetrics } from '../../src/evaluation/metrics.ts';
import type { Outcome } from '../../src/evaluation/outcome.ts';
import { relativeToBase } from '../../src/evaluation/preferences.ts';
import { reportMarkdown } from '../../src/evaluation/report.ts';

const preference = (number: number, margin: number): Outcome => ({
  ...{ source: `rows.jsonl:${number}`, prompt: 'it was', options: [' great', ' bad'], loss: 1, weight: 1, margin },
  ...{ chosen: 0, correct: [0], answer: 'great', references: ['great'] },
});
const tuned = [preference(1, 3), preference(2, -1), preference(3, 0.5)];
const base = [preference(1, 1), preference(2, 2), preference(3, 0.5)];

test('without a base: who is preferred, and by how much', () => {
  expect(usualMetrics(tuned)).toEqual(['preference-accuracy', 'margin']);
  const [accuracy, margin] = measure(tuned, usualMetrics(tuned));
  expect(accuracy!.value).toBeCloseTo(2 / 3, 12);
  expect(margin!.value).toBeCloseTo(2.5 / 3, 12);
  expect(() => measure(tuned, ['dpo-loss'])).toThrow(
    'the metric dpo-loss needs preferences and a base, which this evaluation has not; name one with base',
  );
});

test('with a base: margins above its own, and −log σ(β margin)', () => {
  const outcomes = relativeToBase(tuned, base, 0.7);
  expect(outcomes.map(({ margin }) => margin)).toEqual([2, -3, 0]);
  expect(usualMetrics(outcomes)).toEqual(['preference-accuracy', 'margin', 'dpo-loss']);
  const [accuracy, margin, loss] = measure(outcomes, usualMetrics(outcomes));
  // A margin of 0 prefers neither.
  expect(accuracy!.value).toBeCloseTo(1 / 3, 12);
  expect(margin!.value).toBeCloseTo(-1 / 3, 12);
  const expected = [2, -3, 0].map((each) => Math.log(1 + Math.exp(-0.7 * each)));
  expect(loss!.value).toBeCloseTo((expected[0]! + expected[1]! + expected[2]!) / 3, 12);
  expect(loss!.interval[0]).toBeLessThan(loss!.value);
});

test('a base is for preferences, on the same rows', () => {
  const text: Outcome = { source: 'rows.jsonl:1', loss: 1, weight: 1 };
  expect(() => relativeToBase([text], [text], 1)).toThrow(/rows\.jsonl:1 is no preference/);
  expect(() => relativeToBase(tuned, base.slice(1), 1)).toThrow(/not evaluated on the same examples/);
});

test('a report shows the preferences that are the wrong way round, and which answer the margin is for', () => {
  const outcomes = relativeToBase(tuned, base, 1);
  const text = reportMarkdown({
    ...{ title: 'Evaluation', data: '`rows.jsonl`', notes: [] },
    ...{ model: { name: 'tuned', outcomes }, measured: measure(outcomes, usualMetrics(outcomes)) },
  });
  expect(text).toContain(
    '### rows.jsonl:2\n\n- prompt: `it was`\n- right: `great`\n- answer: `bad` (margin (nats) -3.000)',
  );
  expect(text).not.toContain('### rows.jsonl:1');
});

test('prompts without an answer have no loss', () => {
  const graded: Outcome = { loss: 0, weight: 0, reward: 0.5 };
  expect(usualMetrics([graded])).toEqual(['reward']);
  expect(() => measure([graded], ['loss'])).toThrow(/loss needs answers to take it of/);
});
