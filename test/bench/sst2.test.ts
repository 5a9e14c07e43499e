import { describe, expect, test } from 'vitest';
import { readOptimizers } from '../../bench/sst2.ts';
import { studentPoint, summary } from '../../src/experiments/statistics.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { optimizerNames } from '../../src/settings/methods.ts';
import { probePoints } from '../../src/zo/probe-points.ts';

const settingsOf = (...list: Parameters<typeof readOptimizers>) =>
  readOptimizers(...list).map(({ settings }) => settings);

describe('the list of optimisers', () => {
  test('all have the common settings, SubZero+ its own, at as many losses', () => {
    const all = readOptimizers('all');
    expect(all.map(({ settings }) => settings.optimizer)).toEqual(optimizerNames);
    const [subzero, plus] = all.map(({ settings }) => settings) as [TrainConfiguration, TrainConfiguration];
    expect(subzero).toMatchObject({ steps: 300, queries: 1, sides: 2, learningRate: 5e-5, rank: 8 });
    expect(plus).toMatchObject({ sides: 1, learningRate: 1e-3, rank: 8 });
    expect(plus.steps * probePoints(plus).length).toBe(subzero.steps * probePoints(subzero).length);
  });

  test("an entry's settings come before those of all", () => {
    const [mezo, hizoo] = settingsOf('mezo:learning-rate=1e-4:queries=2,hizoo', { learningRate: 1e-5, steps: 7 });
    expect(mezo).toMatchObject({ optimizer: 'mezo', learningRate: 1e-4, queries: 2, steps: 7 });
    expect(hizoo).toMatchObject({ optimizer: 'hizoo', learningRate: 1e-5, queries: 1, steps: 7 });
  });

  test('settings may be choices, and stand in the titles', () => {
    const list = readOptimizers('subzero:storage=f32:change=bank,subzero:storage=q4:bank-rank=32,subzero');
    expect(list.map(({ settings }) => settings)).toMatchObject([
      { storage: 'f32', change: 'bank', bankRank: 64 },
      { storage: 'q4', change: 'auto', bankRank: 32 },
      { storage: 'auto' },
    ]);
    const titles = ['SubZero storage=f32 change=bank', 'SubZero storage=q4 bank-rank=32', 'SubZero'];
    expect(list.map(({ title }) => title)).toEqual(titles);
  });

  test.each([
    ['adam', /"adam" is not one of subzero/],
    ['mezo:lr=1', /"lr=1" of mezo must be a value for one of .*, steps, /],
    ['mezo:steps=many', /"steps=many" of mezo/],
    ['mezo:steps', /"steps" of mezo/],
    ['mezo:storage=q5', /"storage=q5" of mezo/],
    ['mezo:optimizer=subzero', /"optimizer=subzero" of mezo/],
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
