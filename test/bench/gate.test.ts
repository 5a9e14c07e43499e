import { describe, expect, test } from 'vitest';
import { compare, failuresOf, gateTable, type Pairs } from '../../bench/gate/compare.ts';

const seconds = (before: number[], after: number[], kind: Pairs['kind'] = 'processor'): Pairs => ({
  title: 'training',
  kind,
  before,
  after,
});

describe('the gate', () => {
  test('judges processor time by pairs, whatever the machine is doing', () => {
    // The second pair was measured in a slow minute.
    expect(compare(seconds([1, 3, 1], [1.02, 3.1, 1.03]), 'processor')).toMatchObject({ failed: false });
    expect(compare(seconds([1, 3, 1], [1.3, 3.9, 1.31]), 'processor')).toMatchObject({ failed: true, ratio: 1.3 });
    expect(compare(seconds([1, 3, 1], [0.4, 1.2, 0.4]), 'processor').ratio).toBeCloseTo(0.4);
  });

  test('what was as fast in its best moment is not slower', () => {
    expect(compare(seconds([1, 1, 1], [1, 1.5, 1.5]), 'processor')).toMatchObject({ failed: false, ratio: 1.5 });
  });

  test('shows the other clock without judging by it', () => {
    expect(compare(seconds([1, 1, 1], [2, 2, 2], 'wall'), 'processor')).toMatchObject({ failed: false, ratio: 2 });
    expect(compare(seconds([1, 1, 1], [2, 2, 2], 'wall'), 'wall')).toMatchObject({ failed: true });
  });

  test('lets a few milliseconds pass', () => {
    expect(compare(seconds([0.01, 0.01], [0.03, 0.03]), 'processor')).toMatchObject({ failed: false });
  });

  test('fails at more than 1 % in bytes and at one more dispatch', () => {
    expect(compare(seconds([1000, 1000], [1010, 1010], 'bytes'), 'processor').failed).toBe(false);
    expect(compare(seconds([1000, 1000], [1011, 1011], 'bytes'), 'processor').failed).toBe(true);
    expect(compare(seconds([387, 387], [387, 387], 'dispatches'), 'processor').failed).toBe(false);
    expect(compare(seconds([387, 387], [388, 388], 'dispatches'), 'processor').failed).toBe(true);
  });

  test('does not judge what a revision does not tell', () => {
    const row = compare({ ...seconds([1], [9]), before: [null] }, 'processor');
    expect(row).toMatchObject({ before: null, after: 9, ratio: null, failed: false });
    expect(gateTable([row], { before: 'a', after: 'b' })).toContain('not told');
  });

  test('names what got worse', () => {
    const rows = [compare(seconds([1, 1], [1.5, 1.5]), 'processor'), compare(seconds([1, 1], [1, 1]), 'processor')];
    expect(failuresOf(rows)).toEqual(['training: processor time × 1.500; at most × 1.15 is allowed']);
    expect(gateTable(rows, { before: 'a', after: 'b' })).toContain('**worse**');
  });
});
