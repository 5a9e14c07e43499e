import { describe, expect, test } from 'vitest';
import { compare, measure } from '../../src/evaluation/measure.ts';
import { usualMetrics } from '../../src/evaluation/metrics.ts';
import type { Outcome } from '../../src/evaluation/outcome.ts';
import { withSeed } from '../support/random.ts';

const words = [' zero', ' one', ' two'];

function choices(right: readonly number[], chosen: readonly number[]): Outcome[] {
  return right.map((label, index) => ({
    source: `rows:${index + 1}`,
    ...{ loss: 0.5 + index / 10, weight: 1, options: words, chosen: chosen[index]!, correct: [label] },
    ...{ answer: words[chosen[index]!]!.trim(), references: [words[label]!.trim()] },
  }));
}

const texts = (pairs: readonly (readonly [answer: string, ...references: string[]])[]): Outcome[] =>
  pairs.map(([answer, ...references], index) => ({
    source: `rows:${index + 1}`,
    loss: index,
    weight: 2,
    answer,
    references,
  }));

const value = (outcomes: readonly Outcome[], name: string): number => measure(outcomes, [name])[0]!.value;

describe('metrics', () => {
  test('macro-F1 is what scikit-learn says', () => {
    // sklearn.metrics.f1_score([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], average='macro'), from its documentation
    expect(value(choices([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1]), 'macro-f1')).toBeCloseTo(0.26666666666666666, 12);
    // A label that is neither given nor wanted does not count.
    expect(value(choices([0, 1, 1], [0, 1, 1]), 'macro-f1')).toBe(1);
  });

  test('macro-F1 is the mean of harmonic means of precision and recall', () =>
    withSeed('macro-f1', (random) => {
      const right = Array.from({ length: 60 }, () => random.word() % 3);
      const chosen = Array.from({ length: 60 }, () => random.word() % 3);
      const count = (holds: (index: number) => boolean): number => right.filter((_, index) => holds(index)).length;
      const f1 = [0, 1, 2].map((label) => {
        const both = count((index) => right[index] === label && chosen[index] === label);
        const precision = both / count((index) => chosen[index] === label);
        const recall = both / count((index) => right[index] === label);
        return both === 0 ? 0 : (2 * precision * recall) / (precision + recall);
      });
      expect(value(choices(right, chosen), 'macro-f1')).toBeCloseTo((f1[0]! + f1[1]! + f1[2]!) / 3, 12);
    }));

  test('a loss is a mean over tokens, accuracy one over examples', () => {
    const outcomes: Outcome[] = [
      { loss: 2, weight: 4 },
      { loss: 4, weight: 1 },
    ];
    expect(value(outcomes, 'loss')).toBeCloseTo(6 / 5, 12);
    expect(value(choices([0, 1, 2, 1], [0, 1, 0, 0]), 'accuracy')).toBe(0.5);
  });

  test('an answer counts by the best of its references', () => {
    const outcomes = texts([
      ['the cat sat', 'a dog', 'Cat sat.'],
      ['blue', 'red'],
    ]);
    expect(value(outcomes, 'exact-match')).toBe(0.5);
    expect(value(outcomes, 'f1')).toBe(0.5);
    // ROUGE keeps articles: 2 · 2 / (3 + 2).
    expect(value(outcomes, 'rouge-1')).toBeCloseTo(0.4, 12);
  });

  test('those that are usual depend on what there is', () => {
    expect(usualMetrics(choices([0, 1], [0, 0]))).toEqual(['accuracy', 'macro-f1', 'loss']);
    expect(usualMetrics([{ loss: 1, weight: 2 }])).toEqual(['loss']);
    expect(usualMetrics(texts([['a', 'b']]))).toEqual(['f1', 'exact-match', 'loss']);
    expect(usualMetrics([{ loss: 1, weight: 2, answer: 'a', reward: 0.5 }])).toEqual(['reward', 'loss']);
    const others = choices([0, 1], [0, 0]).map((outcome, index) => ({
      ...outcome,
      options: [' a', ` ${index}`, ' c'],
    }));
    expect(usualMetrics(others)).toEqual(['accuracy', 'loss']);
  });

  test('are refused where rows have nothing for them', () => {
    expect(() => measure([{ loss: 1, weight: 1 }], ['accuracy'])).toThrow(/accuracy needs options/);
    expect(() => measure([{ loss: 1, weight: 1 }], ['perplexity'])).toThrow(
      /there is no metric "perplexity"; there are/,
    );
  });
});

describe('comparisons', () => {
  test('count what was gained and lost, with the exact test', () => {
    const right = Array(12).fill(0) as number[];
    const before = choices(right, [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
    const after = choices(right, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0]);
    const [accuracy] = compare(before, after, ['accuracy']);
    expect(accuracy).toMatchObject({ test: 'exact McNemar', gained: 8, lost: 2 });
    expect(accuracy!.probability).toBeCloseTo(0.109375, 12);
    expect(accuracy!.difference).toBeCloseTo(0.5, 12);
    expect(accuracy!.before.value).toBeCloseTo(4 / 12, 12);
  });

  test('draw the same examples for both models', () =>
    withSeed('paired', (random) => {
      // Each example is better by the same amount, so every draw of the difference is that amount.
      const before = Array.from(
        { length: 40 },
        (): Outcome => ({ loss: random.uniform() * 9, weight: 1, reward: random.uniform() }),
      );
      const after = before.map((outcome) => ({ ...outcome, reward: outcome.reward! + 0.25 }));
      const [reward] = compare(before, after, ['reward']);
      expect(reward!.test).toBe('paired bootstrap');
      expect(reward!.interval[0]).toBeCloseTo(0.25, 12);
      expect(reward!.interval[1]).toBeCloseTo(0.25, 12);
      expect(reward!.probability).toBeCloseTo(2 / 2001, 12);
      expect(compare(before, before, ['reward'])[0]).toMatchObject({ difference: 0, interval: [0, 0], probability: 1 });
    }));

  test('are refused of other examples', () => {
    const before = choices([0, 1], [0, 1]);
    expect(() => compare(before, choices([0], [0]), ['loss'])).toThrow(/not evaluated on the same examples \(2 and 1/);
    expect(() => compare(before, before.toReversed(), ['loss'])).toThrow(/not evaluated on the same examples/);
  });
});
