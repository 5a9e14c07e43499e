/**
 * Python's operators.
 *
 * @module
 */

import { typeError, unsupported } from './errors.ts';
import { escapeHtml } from './escape.ts';
import { formatPercent } from './format.ts';
import { checkItems, checkLength } from './limits.ts';
import type { BinaryOperator } from './nodes.ts';
import { arithmetic } from './numbers.ts';
import { asIndex, asNumber, asText, List, Markup, Tuple, typeName, Undefined, type Value } from './values.ts';

export function binary(operator: BinaryOperator, a: Value, b: Value): Value {
  const x = asNumber(a);
  const y = asNumber(b);
  if (x !== undefined && y !== undefined) return arithmetic(operator, x, y);
  if (operator === '%' && typeof a === 'string') return formatPercent(a, b);
  for (const side of [a, b]) if (side instanceof Undefined) throw side.error();
  if (operator === '+') {
    if (a instanceof Markup || b instanceof Markup) {
      const left = escapeHtml(a);
      const right = escapeHtml(b);
      if (asText(a) !== undefined && asText(b) !== undefined) return new Markup(checked(left.text + right.text));
    }
    if (typeof a === 'string' && typeof b === 'string') return checked(a + b);
    if (a instanceof List && b instanceof List) return new List(joined(a.items, b.items));
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple(joined(a.items, b.items));
    if (typeof a === 'string') throw typeError(`can only concatenate str (not "${typeName(b)}") to str`);
  }
  if (operator === '*') {
    if (typeof b === 'bigint' || typeof b === 'boolean') return repeat(a, asIndex(b));
    if (typeof a === 'bigint' || typeof a === 'boolean') return repeat(b, asIndex(a));
    const sequence = [a, b].find((side) => side instanceof List || side instanceof Tuple || asText(side) !== undefined);
    if (sequence !== undefined) {
      const other = sequence === a ? b : a;
      throw typeError(`can't multiply sequence by non-int of type '${typeName(other)}'`);
    }
  }
  if (a instanceof Markup || b instanceof Markup) throw unsupported(`"${operator}" with an escaped or safe text`);
  const name = operator === '**' ? '** or pow()' : operator;
  throw typeError(`unsupported operand type(s) for ${name}: '${typeName(a)}' and '${typeName(b)}'`);
}

export function negative(value: Value): Value {
  const number = asNumber(value);
  if (number !== undefined) return -number;
  throw value instanceof Undefined ? value.error() : typeError(`bad operand type for unary -: '${typeName(value)}'`);
}

export function positive(value: Value): Value {
  const number = asNumber(value);
  if (number !== undefined) return number;
  throw value instanceof Undefined ? value.error() : typeError(`bad operand type for unary +: '${typeName(value)}'`);
}

function repeat(value: Value, count: number): Value {
  const times = Math.max(0, count);
  const text = asText(value);
  if (text !== undefined) {
    checkLength(text.length * times);
    return value instanceof Markup ? new Markup(text.repeat(times)) : text.repeat(times);
  }
  if (value instanceof List || value instanceof Tuple) {
    checkItems(value.items.length * times);
    const items = Array.from({ length: times }, () => value.items).flat();
    return value instanceof List ? new List(items) : new Tuple(items);
  }
  throw typeError(`unsupported operand type(s) for *: '${typeName(value)}' and 'int'`);
}

function checked(text: string): string {
  checkLength(text.length);
  return text;
}

function joined(a: readonly Value[], b: readonly Value[]): Value[] {
  checkItems(a.length + b.length);
  return [...a, ...b];
}
