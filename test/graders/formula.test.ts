import { describe, expect, test } from 'vitest';
import { parseFormula } from '../../src/graders/formula.ts';

const scores = new Map([
  ['a', 0.5],
  ['b', 4],
  ['zero', 0],
]);
const value = (text: string) => parseFormula(text).evaluate(scores);

test.each([
  ['1 + 2 * 3', 7],
  ['(1 + 2) * 3', 9],
  ['10 - 4 - 3', 3],
  ['16 / 4 / 2', 2],
  ['2 ^ 3 ^ 2', 512],
  ['-2 ^ 2', -4],
  ['2 ^ -1', 0.5],
  ['- -3', 3],
  ['a * b', 2],
  ['min(a, b, 0.25) + max(1, b)', 4.25],
  ['abs(-3) + floor(1.7) + ceil(1.2) + sqrt(b) + exp(0) + log(1)', 9],
  ['.5e1 + 1.5E-1', 5.15],
  ['((((((1))))))', 1],
])('%s is %d', (text, expected) => {
  expect(value(text)).toBeCloseTo(expected, 12);
});

test('the names that it reads', () => {
  expect(parseFormula('max(a, b) * a + c_1').names).toEqual(['a', 'b', 'c_1']);
});

describe('what is no formula is refused, with the place', () => {
  test.each([
    ['', /character 1: expected a number, a name or "\("; got the end/],
    ['1 +', /character 4: expected a number/],
    ['1 2', /character 3: expected an operator; got 2/],
    ['(1', /expected "\)"; got the end/],
    ['min()', /character 5: expected a number/],
    ['abs(1, 2)', /abs takes one value; got 2/],
    ['constructor(1)', /unknown function "constructor"; there are min/],
    ['process.exit', /unexpected \./],
    ['a = 1', /unexpected =/],
    ['"a"', /unexpected "/],
    ['('.repeat(200), /nests deeper/],
    [`${'-'.repeat(900)}1`, /nests deeper/],
    ['1+'.repeat(600), /more than 1000 characters/],
  ])('%s', (text, message) => {
    expect(() => parseFormula(text)).toThrow(message);
  });

  test('nor what comes to no number', () => {
    expect(() => value('1 / zero')).toThrow(/comes to Infinity/);
    expect(() => value('log(-1)')).toThrow(/comes to NaN/);
    expect(() => value('a + unknown')).toThrow(/no grader "unknown"/);
  });
});
