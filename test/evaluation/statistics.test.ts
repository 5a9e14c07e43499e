import { expect, test } from 'vitest';
import { bootstrap, interval95, pairedProbability } from '../../src/evaluation/bootstrap.ts';
import { mcnemar } from '../../src/evaluation/mcnemar.ts';
import { withSeed } from '../support/random.ts';

/** 2 · Σ C(n, k) / 2^n with whole numbers alone. */
function exactly(gained: number, lost: number): number {
  const tosses = BigInt(gained + lost);
  let [term, sum] = [1n, 0n];
  for (let heads = 0n; heads <= BigInt(Math.min(gained, lost)); heads++) {
    sum += term;
    term = (term * (tosses - heads)) / (heads + 1n);
  }
  const digits = 10n ** 18n;
  return Math.min(1, Number((2n * sum * digits) / 2n ** tosses) / 1e18);
}

test("McNemar's test is the binomial tail, on both sides", () => {
  // scipy.stats.binomtest(k, n).pvalue
  expect(mcnemar(2, 8)).toBeCloseTo(0.109375, 12);
  expect(mcnemar(10, 10)).toBe(1);
  expect(mcnemar(0, 0)).toBe(1);
  expect(mcnemar(0, 5)).toBeCloseTo(0.0625, 12);
  // 2^-1999, which is less than a double holds
  expect(mcnemar(0, 2000)).toBe(0);
  return withSeed('mcnemar', (random) => {
    for (let count = 0; count < 50; count++) {
      const [gained, lost] = [random.word() % 400, random.word() % 400];
      expect(Math.abs(mcnemar(gained, lost) - exactly(gained, lost))).toBeLessThan(1e-11);
      expect(mcnemar(gained, lost)).toBe(mcnemar(lost, gained));
    }
  });
});

test('the ends of an interval are percentiles with straight lines between the draws', () => {
  const draws = Array.from({ length: 101 }, (_, index) => 100 - index);
  expect(interval95(draws)).toEqual([2.5, 97.5]);
  // numpy.percentile([1, 2, 4], [2.5, 97.5])
  expect(interval95([4, 1, 2])).toEqual([1.05, 3.9]);
  expect(interval95([3])).toEqual([3, 3]);
});

test('draws of a mean scatter around it as its standard error says', () =>
  withSeed('bootstrap', (random) => {
    const values = Array.from({ length: 150 }, () => random.uniform() ** 2);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    const meanOf = (examples: ArrayLike<number>): number =>
      Array.from(examples).reduce((sum, index) => sum + values[index]!, 0) / examples.length;
    const [draws, again] = bootstrap(values.length, [meanOf, meanOf]) as [number[], number[]];
    expect(draws).toEqual(again);
    const centre = draws.reduce((sum, value) => sum + value, 0) / draws.length;
    const spread = Math.sqrt(draws.reduce((sum, value) => sum + (value - centre) ** 2, 0) / draws.length);
    const error = Math.sqrt(variance / values.length);
    // 2000 draws: six of their own standard errors.
    expect(Math.abs(centre - mean)).toBeLessThan((6 * error) / Math.sqrt(2000));
    expect(Math.abs(spread / error - 1)).toBeLessThan(6 / Math.sqrt(4000));
  }));

test('a difference that no draw sees the other way is as rare as the draws can tell', () => {
  expect(pairedProbability(Array(1999).fill(1))).toBe(2 / 2000);
  expect(pairedProbability(Array(1999).fill(0))).toBe(1);
  expect(pairedProbability([...Array(1799).fill(-1), ...Array(200).fill(1)])).toBeCloseTo(402 / 2000, 12);
});
