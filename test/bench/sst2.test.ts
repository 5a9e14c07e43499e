import { describe, expect, test } from 'vitest';
import { readOptimizers } from '../../bench/sst2.ts';
import { studentPoint, summary } from '../../src/experiments/statistics.ts';
import { optimizerNames } from '../../src/settings/methods.ts';
import { probePoints } from '../../src/zo/probe-points.ts';

describe('the list of optimisers', () => {
  test('all have the common settings, SubZero+ its own, at as many losses', () => {
    const all = readOptimizers('all');
    expect(all.map(({ optimizer }) => optimizer)).toEqual(optimizerNames);
    const [subzero, plus] = all as [(typeof all)[0], (typeof all)[0]];
    expect(subzero).toMatchObject({ steps: 300, queries: 1, sides: 2, learningRate: 5e-5, rank: 8 });
    expect(plus).toMatchObject({ sides: 1, learningRate: 1e-3, rank: 8 });
    expect(plus.steps * probePoints(plus).length).toBe(subzero.steps * probePoints(subzero).length);
  });

  test("an entry's settings come before those of all", () => {
    const [mezo, hizoo] = readOptimizers('mezo:learning-rate=1e-4:queries=2,hizoo', { learningRate: 1e-5, steps: 7 });
    expect(mezo).toMatchObject({ optimizer: 'mezo', learningRate: 1e-4, queries: 2, steps: 7 });
    expect(hizoo).toMatchObject({ optimizer: 'hizoo', learningRate: 1e-5, queries: 1, steps: 7 });
  });

  test.each([
    ['adam', /"adam" is not one of subzero/],
    ['mezo:lr=1', /"lr=1" of mezo must be a number for one of .*, steps, /],
    ['mezo:steps=many', /"steps=many" of mezo/],
    ['mezo:steps', /"steps" of mezo/],
    ['mezo:queries=0', /queries must be between 1 and 128; got 0/],
  ])('%s is refused by name', (list, message) => {
    expect(() => readOptimizers(list)).toThrow(message);
  });
});

describe('intervals', () => {
  test('by Student’s t', () => {
    // 1 … 5: mean 3, standard error √(2.5/5), t = 2.776 with four degrees of freedom.
    const { mean, standardError, halfWidth95 } = summary([1, 2, 3, 4, 5]);
    expect(mean).toBe(3);
    expect(standardError).toBeCloseTo(Math.SQRT1_2, 12);
    expect(halfWidth95).toBeCloseTo(2.776 * Math.SQRT1_2, 12);
    expect(summary([1]).halfWidth95).toBeNaN();
  });

  test('the expansion goes on where the table ends', () => {
    for (const [degrees, point] of [
      [31, 2.0395],
      [40, 2.0211],
      [60, 2.0003],
      [120, 1.9799],
    ] as const) {
      expect(Math.abs(studentPoint(degrees) - point)).toBeLessThan(3e-3);
    }
  });
});
