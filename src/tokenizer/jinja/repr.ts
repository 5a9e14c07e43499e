/**
 * Values as Python prints them.
 *
 * @module
 */

import { unsupported } from './errors.ts';
import { checkLength, joinChecked } from './limits.ts';
import { floatText, intText } from './numbers.ts';
import {
  Callable,
  Dict,
  DictView,
  Iteration,
  List,
  Markup,
  Namespace,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Python's `str`. */
export function toText(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) return '';
  return repr(value);
}

/** Python's `repr`. */
export function repr(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return intText(value);
  if (typeof value === 'number') return floatText(value);
  if (typeof value === 'string') return textRepr(value);
  if (value instanceof Markup) return `Markup(${textRepr(value.text)})`;
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof List) return `[${list(value.items)}]`;
  if (value instanceof Tuple)
    return value.items.length === 1 ? `(${repr(value.items[0]!)},)` : `(${list(value.items)})`;
  if (value instanceof Dict) return dict(value.entries());
  if (value instanceof DictView) return `dict_${value.kind}([${list(value.items())}])`;
  if (value instanceof Range) {
    const step = value.step === 1n ? '' : `, ${value.step}`;
    return `range(${value.start}, ${value.stop}${step})`;
  }
  if (value instanceof Namespace) return `<Namespace ${dict([...value.attributes])}>`;
  if (!(value instanceof Callable) && !(value instanceof Iteration) && value.text !== undefined) return value.text();
  if (value instanceof Callable && value.typeName === 'Macro') return `<Macro ${textRepr(value.name)}>`;
  throw unsupported(`printing a ${typeName(value)}, which shows an address in memory,`);
}

function list(items: readonly Value[]): string {
  return joinChecked(items.map(repr), ', ');
}

function dict(entries: readonly (readonly [Value, Value])[]): string {
  return `{${joinChecked(
    entries.map(([key, value]) => `${repr(key)}: ${repr(value)}`),
    ', ',
  )}}`;
}

const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}]/u;
export const isPrintable = (point: string): boolean => point === ' ' || !unprintable.test(point);

function textRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let result = quote;
  for (const point of text) {
    if (point === quote || point === '\\') result += `\\${point}`;
    else if (isPrintable(point)) result += point;
    else if (point === '\n') result += '\\n';
    else if (point === '\r') result += '\\r';
    else if (point === '\t') result += '\\t';
    else {
      const code = point.codePointAt(0)!;
      const digits = code.toString(16);
      if (code < 0x100) result += `\\x${digits.padStart(2, '0')}`;
      else if (code < 0x10000) result += `\\u${digits.padStart(4, '0')}`;
      else result += `\\U${digits.padStart(8, '0')}`;
    }
  }
  checkLength(result.length);
  return result + quote;
}
