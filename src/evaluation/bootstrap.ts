/**
 * Intervals and paired tests by the bootstrap (Efron 1979; for systems on one test set: Koehn 2004): the examples are
 * drawn anew, with replacement, and what is measured is measured on each draw.
 *
 * @module
 */

import { keyOfSeed, multiplyHigh, philox4x32, purposes } from '../random/philox.ts';

/** A number that some examples come to. @param examples their numbers, which may repeat */
export type Statistic = (examples: ArrayLike<number>) => number;

/** How often the examples are drawn: the ends of 95 % intervals then move by about a thirtieth of their length. */
const resamples = 2000;

/**
 * Every statistic on the same draws.
 * @param size examples, at least one
 * @returns one list for each statistic, in the order of the draws
 */
export function bootstrap(size: number, statistics: readonly Statistic[], seed = 0, draws = resamples): number[][] {
  const key = keyOfSeed(seed);
  const drawn = new Uint32Array(size);
  const values: number[][] = statistics.map(() => []);
  for (let draw = 0; draw < draws; draw++) {
    for (let start = 0; start < size; start += 4) {
      const words = philox4x32([start >>> 2, 0, draw, purposes.resampling << 24], key);
      for (let index = start; index < Math.min(start + 4, size); index++) {
        drawn[index] = multiplyHigh(words[index - start]!, size);
      }
    }
    for (const [index, statistic] of statistics.entries()) values[index]!.push(statistic(drawn));
  }
  return values;
}

/** The ends between which the middle 95 % of some draws lie. */
export function interval95(draws: readonly number[]): [low: number, high: number] {
  const sorted = Float64Array.from(draws).sort();
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below]! + (place - below) * (sorted[above]! - sorted[below]!);
  };
  return [at(0.025), at(0.975)];
}

/**
 * How likely draws of a difference are to lie on the other side of 0 by chance, on both sides together. No less than
 * 2 / (draws + 1): nothing rarer can be seen in so many draws.
 */
export function pairedProbability(differences: readonly number[]): number {
  const below = differences.filter((value) => value <= 0).length;
  const above = differences.filter((value) => value >= 0).length;
  return Math.min(1, (2 * (Math.min(below, above) + 1)) / (differences.length + 1));
}
