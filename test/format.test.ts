/** Numbers for people. */

import { expect, test } from 'vitest';
import { formatFixed } from '../src/format.ts';

test('zeros have no minus', () => {
  expect([0.12346, -0.5, -0.00004, -0, -0.00006].map((value) => formatFixed(value))).toEqual([
    ...['0.1235', '-0.5000', '0.0000', '0.0000', '-0.0001'],
  ]);
  expect(formatFixed(-0.04, 1)).toBe('0.0');
  expect(formatFixed(Number.NaN)).toBe('NaN');
});
