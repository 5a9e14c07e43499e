import { expect, test } from 'vitest';
import { smooth, thin, ticks } from '../../server/dashboard/chart.js';

test('ticks are round numbers inside the interval', () => {
  expect(ticks(0, 1, 4)).toEqual([0, 0.5, 1]);
  expect(ticks(0.31, 0.72, 4)).toEqual([0.4, 0.6]);
  expect(ticks(-24, 19, 4)).toEqual([-20, 0]);
  expect(ticks(0, 300, 3)).toEqual([0, 100, 200, 300]);
  expect(ticks(0.1, 0.4, 3)).toEqual([0.1, 0.2, 0.3, 0.4]);
});

test('thinning averages neighbours and keeps the last step', () => {
  const points = Array.from({ length: 1000 }, (_, index) => ({ step: index + 1, value: index % 2 }));
  const thinned = thin(points, 100);
  expect(thinned).toHaveLength(100);
  expect(thinned.every(({ value }) => value === 0.5)).toBe(true);
  expect(thinned.at(-1)!.step).toBe(1000);
  expect(thin(points.slice(0, 50), 100)).toHaveLength(50);
});

test('smoothing keeps constants and damps what alternates', () => {
  const flat = Array.from({ length: 200 }, (_, step) => ({ step, value: 3 }));
  expect(smooth(flat)).toEqual(flat);
  const restless = Array.from({ length: 400 }, (_, step) => ({ step, value: step % 2 }));
  const calm = smooth(restless).slice(200);
  expect(calm.every(({ value }) => value > 0.4 && value < 0.6)).toBe(true);
  expect(smooth([])).toEqual([]);
});
