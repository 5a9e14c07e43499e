/** Numbers of charts: ticks, ranges, averages and thinned lines. */

import { describe, expect, test } from 'vitest';
import {
  formatTicks,
  formatValue,
  linearScale,
  niceTicks,
  type Point,
  paddedRange,
  smooth,
  stepRange,
  thin,
  withoutOutliers,
} from '../../src/chart/scale.js';

describe('scales', () => {
  test.each<[number, number, number, number, string]>([
    [0, 1, 5, 0, '0.0 0.2 0.4 0.6 0.8 1.0'],
    [0, 20_000, 5, 1, '0 5,000 10,000 15,000 20,000'],
    [0, 3, 7, 1, '0 1 2 3'],
    [0, 12, 5, 1, '0 2 4 6 8 10 12'],
    [0.27, 0.45, 7, 0, '0.275 0.300 0.325 0.350 0.375 0.400 0.425 0.450'],
    [-0.3, 0.3, 3, 0, '-0.2 0.0 0.2'],
    [0, 4e7, 4, 0, '0 1e7 2e7 3e7 4e7'],
    [1e-5, 4e-5, 3, 0, '1e-5 2e-5 3e-5 4e-5'],
    [1.2e7, 1.22e7, 4, 0, '1.2e7 1.205e7 1.21e7 1.215e7 1.22e7'],
    [1e-10, 4e-10, 3, 0, '1e-10 2e-10 3e-10 4e-10'],
  ])('ticks from %d to %d', (low, high, count, smallest, expected) => {
    expect(formatTicks(niceTicks([low, high], count, smallest)).join(' ')).toBe(expected);
  });

  test('ticks lie inside, evenly, and are about as many as asked for', () => {
    for (let i = 1; i < 400; i++) {
      const low = Math.sin(i) * 10 ** (i % 7);
      const high = low + (1 + Math.cos(i * 3)) * 10 ** (i % 5) + 1e-3;
      const ticks = niceTicks([low, high], 6);
      expect(ticks.length).toBeGreaterThanOrEqual(3);
      expect(ticks.length).toBeLessThanOrEqual(10);
      const slack = (high - low) * 1e-6;
      expect(ticks[0]! >= low - slack && ticks.at(-1)! <= high + slack).toBe(true);
      expect(new Set(formatTicks(ticks)).size).toBe(ticks.length);
    }
  });

  test('a range has room, and width even for equal values', () => {
    expect(paddedRange([1, 2], 0.5)).toEqual([0.5, 2.5]);
    expect(paddedRange([])).toEqual([0, 1]);
    const [low, high] = paddedRange([3, 3]);
    expect(low < 3 && high > 3).toBe(true);
  });

  test('steps begin at 0, unless all lie far from it', () => {
    const line = (...steps: number[]): Point[] => steps.map((step) => [step, 1]);
    expect(stepRange([])).toEqual([0, 1]);
    expect(stepRange([line(1, 2, 30), [], line(40)])).toEqual([0, 40]);
    expect(stepRange([line(1000, 1001)])).toEqual([1000, 1001]);
    expect(stepRange([line(7)])).toEqual([0, 7]);
  });

  test('a range is mapped to pixels evenly, downwards too', () => {
    expect([2, 3, 4].map(linearScale([2, 4], 10, 20))).toEqual([10, 15, 20]);
    expect([2, 3, 4].map(linearScale([2, 4], 20, 10))).toEqual([20, 15, 10]);
  });

  test('values have four digits', () => {
    expect([0.123456, -0, 12345.6, 1e-9, 0.5].map(formatValue)).toEqual(['0.1235', '0', '12350', '1e-9', '0.5']);
  });

  test('outliers are left out only if they flatten the rest', () => {
    const even = Array.from({ length: 200 }, (_, i) => i);
    expect(withoutOutliers(even)).toEqual(even);
    expect(Math.max(...withoutOutliers([...even, 1e6]))).toBeLessThan(200);
    expect(withoutOutliers([1, 2, 1e6])).toEqual([1, 2, 1e6]);
  });

  test('smoothing keeps a constant, follows a step and starts calmly', () => {
    const at = (values: number[], span: number) =>
      smooth(
        values.map((y, x): Point => [x, y]),
        span,
      ).map(([, y]) => y);
    for (const y of at(Array(20).fill(3), 5)) expect(y).toBeCloseTo(3, 12);
    const step = at([...Array(50).fill(0), ...Array(50).fill(1)], 10);
    expect(step[49]).toBe(0);
    // After one span 1 - 1/e of the step is made.
    expect(step[59]).toBeCloseTo(1 - Math.exp(-1), 12);
    expect(at([10, ...Array(99).fill(0)], 10)[0]).toBeLessThan(2);
  });

  test('thinning keeps short lines, and the extremes of long ones in order', () => {
    const short: Point[] = [
      [0, 1],
      [1, 2],
    ];
    expect(thin(short, [0, 1], 10)).toEqual(short);
    const long = Array.from({ length: 1000 }, (_, x): Point => [x, x === 333 ? 99 : x === 337 ? -99 : Math.sin(x)]);
    const thinned = thin(long, [0, 1000], 10);
    expect(thinned.length).toBe(20);
    expect(thinned).toContainEqual([333, 99]);
    expect(thinned).toContainEqual([337, -99]);
    expect(thinned.map(([x]) => x)).toEqual(thinned.map(([x]) => x).toSorted((a, b) => a - b));
  });
});
