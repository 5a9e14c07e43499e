import { describe, expect, test } from 'vitest';
import { type SamplingOptions, sampleToken } from '../../src/generate/sample.ts';
import { randomNumbers } from '../train/killing.ts';

const plain: SamplingOptions = {
  temperature: 1,
  topK: 0,
  topP: 1,
  seed: 1,
  logitBias: {},
  presencePenalty: 0,
  frequencyPenalty: 0,
};

const noCounts: ReadonlyMap<number, number> = new Map();

function randomLogits(count: number, seed: number, spread = 6): Float32Array {
  const random = randomNumbers(seed);
  return Float32Array.from({ length: count }, () => (random() - 0.5) * spread);
}

/** The distribution that the options ask for, in f64, straight from its definition. */
function reference(
  logits: Float32Array,
  options: SamplingOptions,
  counts: ReadonlyMap<number, number>,
): { probabilities: number[]; logprobs: number[] } {
  const adjusted = Array.from(logits, (logit, id) => {
    const count = counts.get(id) ?? 0;
    const penalty = count > 0 ? options.presencePenalty + options.frequencyPenalty * count : 0;
    return logit + (options.logitBias[id] ?? 0) - penalty;
  });
  const softmax = (values: number[]): number[] => {
    const highest = Math.max(...values);
    const weights = values.map((value) => Math.exp(value - highest));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  };
  const logprobs = softmax(adjusted).map(Math.log);
  let probabilities = softmax(adjusted.map((value) => value / options.temperature));
  const order = probabilities.map((_, id) => id).sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
  const keep = (ids: Set<number>): void => {
    const kept = probabilities.map((probability, id) => (ids.has(id) ? probability : 0));
    const total = kept.reduce((sum, probability) => sum + probability, 0);
    probabilities = kept.map((probability) => probability / total);
  };
  if (options.topK > 0) keep(new Set(order.slice(0, options.topK)));
  if (options.topP < 1) {
    const nucleus = new Set<number>();
    let sum = 0;
    for (const id of order) {
      if (sum >= options.topP) break;
      nucleus.add(id);
      sum += probabilities[id]!;
    }
    keep(nucleus);
  }
  return { probabilities, logprobs };
}

/** Many of them equal, among them zeros of both signs. */
const ties = randomLogits(300, 12, 5).map((logit) => Math.round(2 * logit) / 2);

const cases: {
  what: string;
  options: Partial<SamplingOptions>;
  counts?: Map<number, number>;
  logits?: Float32Array;
}[] = [
  { what: 'all tokens', options: {} },
  { what: 'a low temperature', options: { temperature: 0.4 } },
  { what: 'a high temperature', options: { temperature: 3 } },
  { what: 'top-k', options: { topK: 5 } },
  { what: 'top-p', options: { topP: 0.7 } },
  { what: 'top-k, top-p and temperature', options: { topK: 12, topP: 0.8, temperature: 1.5 } },
  { what: 'top-p of many, with ties', options: { topP: 0.9 }, logits: ties },
  { what: 'top-k of many, with ties', options: { topK: 100 }, logits: ties },
  { what: 'top-k and top-p of many, with ties', options: { topK: 150, topP: 0.9, temperature: 2 }, logits: ties },
  { what: 'more tokens than classes', options: { temperature: 2 }, logits: randomLogits(700, 13) },
  { what: 'a bias', options: { logitBias: { 3: 4, 7: -100, 99: 5 } } },
  {
    what: 'penalties',
    options: { presencePenalty: 1.5, frequencyPenalty: 0.5 },
    counts: new Map([
      [2, 1],
      [5, 4],
    ]),
  },
];

describe.each(cases)('sampling with $what', ({ options: given, counts = noCounts, logits = randomLogits(40, 11) }) => {
  const options = { ...plain, ...given };
  const expected = reference(logits, options, counts);
  const draws = 20_000;
  const seen = new Array<number>(logits.length).fill(0);
  let wrongLogprobs = 0;
  for (let position = 0; position < draws; position++) {
    const { id, logprob } = sampleToken(logits.slice(), options, position, counts, 0);
    seen[id]!++;
    if (!(Math.abs(logprob - expected.logprobs[id]!) < 1e-5)) wrongLogprobs++;
  }

  test('draws with the probabilities of the reference', () => {
    let chiSquared = 0;
    let terms = 0;
    for (const [id, probability] of expected.probabilities.entries()) {
      if (probability === 0) expect(seen[id], `token ${id}`).toBe(0);
      else if (probability * draws >= 1) {
        chiSquared += (seen[id]! - probability * draws) ** 2 / (probability * draws);
        terms++;
      }
    }
    // χ² exceeds its mean by four of its standard deviations with a probability of about 1e-4; the draws are the same
    // each time.
    expect(chiSquared).toBeLessThan(terms + 4 * Math.sqrt(2 * terms));
  });

  test('reports log-probabilities before temperature and cuts', () => {
    expect(wrongLogprobs).toBe(0);
  });
});

describe('the most likely token', () => {
  test('at temperature 0, the first of equals', () => {
    const logits = new Float32Array([0, 3, 1, 3, -5]);
    expect(sampleToken(logits, { ...plain, temperature: 0 }, 0, noCounts, 0).id).toBe(1);
  });

  test('after bias and penalties', () => {
    const options = { ...plain, temperature: 0, logitBias: { 0: 3.5 }, presencePenalty: 2, frequencyPenalty: 1 };
    const logits = () => new Float32Array([0, 3, 1]);
    expect(sampleToken(logits(), options, 0, noCounts, 0).id).toBe(0);
    expect(sampleToken(logits(), options, 0, new Map([[0, 1]]), 0).id).toBe(1);
  });

  test('is all that top-k 1, a tiny top-p or a tiny temperature leave', () => {
    const logits = randomLogits(100, 4);
    const best = logits.indexOf(Math.max(...logits));
    for (const cut of [{ topK: 1 }, { topP: 1e-9 }, { topP: 0 }, { temperature: 1e-6 }]) {
      for (let position = 0; position < 50; position++) {
        expect(sampleToken(logits.slice(), { ...plain, ...cut }, position, noCounts, 0).id).toBe(best);
      }
    }
  });
});

test('alternatives come best first, with their log-probabilities', () => {
  const logits = randomLogits(300, 5);
  const { logprobs } = reference(logits, plain, noCounts);
  const { top } = sampleToken(logits.slice(), plain, 0, noCounts, 7);
  const order = logprobs.map((_, id) => id).sort((a, b) => logprobs[b]! - logprobs[a]!);
  expect(top.map(({ id }) => id)).toEqual(order.slice(0, 7));
  for (const { id, logprob } of top) expect(logprob).toBeCloseTo(logprobs[id]!, 5);
});

describe('draws', () => {
  const logits = randomLogits(64, 6, 2);
  const drawn = (seed: number): number[] =>
    Array.from(
      { length: 64 },
      (_, position) => sampleToken(logits.slice(), { ...plain, seed }, position, noCounts, 0).id,
    );

  test('depend on seed and position alone', () => {
    expect(drawn(7)).toEqual(drawn(7));
    expect(drawn(7)).not.toEqual(drawn(8));
    // Seeds that agree in their lower half are different seeds.
    expect(drawn(7)).not.toEqual(drawn(7 + 2 ** 32));
    expect(new Set(drawn(7)).size).toBeGreaterThan(20);
  });

  test('of logits far apart never give what is impossible', () => {
    const far = new Float32Array([-1e30, 0, -1e30, 0.1]);
    for (let position = 0; position < 200; position++) {
      expect([1, 3]).toContain(sampleToken(far.slice(), plain, position, noCounts, 0).id);
    }
  });
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])('logits with %d are an error, not a token', (value) => {
  const logits = new Float32Array([0, value, 1]);
  expect(() => sampleToken(logits, plain, 0, noCounts, 0)).toThrow('damaged');
});
