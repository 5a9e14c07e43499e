/**
 * Jinja's tests: what stands after `is`.
 *
 * @module
 */

import { bindPositional } from './arguments.ts';
import { isCased, isLowerCase, isUpperCase, pointsOf } from './characters.ts';
import { unsupported } from './errors.ts';
import { binary } from './operators.ts';
import { toText } from './repr.ts';
import {
  asNumber,
  asText,
  Callable,
  compare,
  contains,
  Dict,
  isEqual,
  isIterable,
  type Keywords,
  List,
  Markup,
  NativeObject,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

type Test = (value: Value, positional: readonly Value[], keywords: Keywords) => boolean;

function unary(name: string, test: (value: Value) => boolean): Test {
  return (value, positional, keywords) => {
    bindPositional(`test "${name}"`, 0, 0, positional, keywords);
    return test(value);
  };
}

function binaryTest(name: string, test: (value: Value, other: Value) => boolean): Test {
  return (value, positional, keywords) => {
    const [other] = bindPositional(`test "${name}"`, 1, 1, positional, keywords);
    return test(value, other!);
  };
}

/** Whether Python's `%` of a value gives a number. */
const leaves = (value: Value, by: Value, rest: bigint) => isEqual(binary('%', value, by), rest);

/** Python's `is`, where its answer does not depend on how Python happens to store a value. */
function isSame(a: Value, b: Value): boolean {
  const single = (value: Value) => value === null || typeof value === 'boolean';
  if (single(a) || single(b)) return a === b;
  if (typeName(a) !== typeName(b)) return false;
  if (typeof a === 'bigint' && typeof b === 'bigint' && a >= -5n && a <= 256n) return a === b;
  if (!isEqual(a, b)) return false;
  if (typeof a === 'object' && a === b) return true;
  throw unsupported(`the test "sameas" of two equal values of type ${typeName(a)}`);
}

const isText = (value: Value) => asText(value) !== undefined;
const allCased = (value: Value, test: (point: string) => boolean) => {
  const letters = pointsOf(toText(value)).filter(isCased);
  return letters.length > 0 && letters.every(test);
};

const equal = binaryTest('eq', isEqual);
const unequal = binaryTest('ne', (a, b) => !isEqual(a, b));
const less = binaryTest('lt', (a, b) => compare('<', a, b));
const lessOrEqual = binaryTest('le', (a, b) => compare('<=', a, b));
const greater = binaryTest('gt', (a, b) => compare('>', a, b));
const greaterOrEqual = binaryTest('ge', (a, b) => compare('>=', a, b));

export const tests: Readonly<Record<string, Test>> = {
  '!=': unequal,
  '<': less,
  '<=': lessOrEqual,
  '==': equal,
  '>': greater,
  '>=': greaterOrEqual,
  boolean: unary('boolean', (value) => typeof value === 'boolean'),
  callable: unary(
    'callable',
    (value) =>
      value instanceof Callable ||
      value instanceof Undefined ||
      (value instanceof NativeObject && value.call !== undefined),
  ),
  defined: unary('defined', (value) => !(value instanceof Undefined)),
  divisibleby: binaryTest('divisibleby', (value, by) => leaves(value, by, 0n)),
  eq: equal,
  equalto: equal,
  escaped: unary('escaped', (value) => value instanceof Markup),
  even: unary('even', (value) => leaves(value, 2n, 0n)),
  false: unary('false', (value) => value === false),
  float: unary('float', (value) => typeof value === 'number'),
  ge: greaterOrEqual,
  greaterthan: greater,
  gt: greater,
  in: binaryTest('in', (value, container) => contains(container, value)),
  integer: unary('integer', (value) => typeof value === 'bigint'),
  iterable: unary('iterable', isIterable),
  le: lessOrEqual,
  lessthan: less,
  lower: unary('lower', (value) => allCased(value, isLowerCase)),
  lt: less,
  mapping: unary('mapping', (value) => value instanceof Dict),
  ne: unequal,
  none: unary('none', (value) => value === null),
  number: unary('number', (value) => asNumber(value) !== undefined),
  odd: unary('odd', (value) => leaves(value, 2n, 1n)),
  sameas: binaryTest('sameas', isSame),
  sequence: unary(
    'sequence',
    (value) => isText(value) || [List, Tuple, Dict, Range, Undefined].some((type) => value instanceof type),
  ),
  string: unary('string', isText),
  true: unary('true', (value) => value === true),
  undefined: unary('undefined', (value) => value instanceof Undefined),
  upper: unary('upper', (value) => allCased(value, isUpperCase)),
};
