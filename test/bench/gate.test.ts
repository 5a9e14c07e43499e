import { expect, test } from 'vitest';
import { compare, failuresOf, gateTable, type Pairs } from '../../bench/gate/compare.ts';

const pairs = (kind: Pairs['kind'], before: (number | null)[], after: (number | null)[]): Pairs => ({
  ...{ title: 'step', kind },
  before,
  after,
});
const failed = (given: Pairs, clock: 'processor' | 'wall' = 'processor') => compare(given, clock).failed;

test('a ratio is the median of those of the pairs', () => {
  // Both halves of the second pair met another program.
  const row = compare(pairs('processor', [1, 4, 1], [1.1, 4, 1.2]), 'processor');
  expect(row).toMatchObject({ before: 1, after: 1.2, failed: false });
  expect(row.ratio).toBeCloseTo(1.1, 12);
  expect(row.range![0]).toBeCloseTo(1.05, 12);
  expect(row.range![1]).toBeCloseTo(1.15, 12);
  expect(compare(pairs('processor', [1, 1], [1, 2]), 'processor').ratio).toBe(1.5);
});

test('times fail beyond 15 %, on the clock that counts', () => {
  const slower = [1.2, 1.16, 1.3];
  expect(failed(pairs('processor', [1, 1, 1], slower))).toBe(true);
  expect(failed(pairs('processor', [1, 1, 1], [1.14, 1.15, 1.1]))).toBe(false);
  expect(failed(pairs('wall', [1, 1, 1], slower))).toBe(false);
  expect(failed(pairs('wall', [1, 1, 1], slower), 'wall')).toBe(true);
  expect(failed(pairs('processor', [1, 1, 1], slower), 'wall')).toBe(false);
});

test('what is as fast in its best moment was only disturbed, and milliseconds are no loss', () => {
  expect(failed(pairs('processor', [1, 1, 1], [1, 1.5, 1.6]))).toBe(false);
  expect(failed(pairs('processor', [0.01, 0.01, 0.01], [0.02, 0.03, 0.02]))).toBe(false);
});

test('bytes fail beyond 1 %, dispatches beyond none', () => {
  expect(failed(pairs('bytes', [1000, 1000], [1010, 1010]))).toBe(false);
  expect(failed(pairs('bytes', [1000, 1000], [1011, 1011]))).toBe(true);
  expect(failed(pairs('dispatches', [500, 500], [500, 500]))).toBe(false);
  expect(failed(pairs('dispatches', [500, 500], [499, 499]))).toBe(false);
  expect(failed(pairs('dispatches', [500, 500], [501, 501]))).toBe(true);
});

test('what a revision does not tell is said and not judged', () => {
  const row = compare(pairs('dispatches', [null, null], [5, 5]), 'processor');
  expect(row).toMatchObject({ before: null, after: 5, ratio: null, failed: false });
  expect(gateTable([row], { before: 'old', after: 'new' })).toContain('| step: dispatches | not told | 5 | - | - |  |');
});

test('the table marks what got worse, and a line says by how much', () => {
  const rows = [pairs('processor', [1], [1.5]), pairs('bytes', [1024 ** 2], [1024 ** 2])].map((given) =>
    compare(given, 'processor'),
  );
  const lines = gateTable(rows, { before: 'old', after: 'new' }).split('\n');
  expect(lines[2]).toBe('| step: processor time | 1.000 s | 1.500 s | 1.500 | 1.500–1.500 | **worse** |');
  expect(lines[3]).toContain('| 1.0 MiB | 1.0 MiB | 1.000 |');
  expect(failuresOf(rows)).toEqual(['step: processor time × 1.500; at most × 1.15 is allowed']);
});
