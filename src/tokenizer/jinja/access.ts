/**
 * Attributes, items and slices of values, as Jinja's sandbox lets a template see them. Only what is listed here exists:
 * no property of a JavaScript object is in reach.
 *
 * @module
 */

import { bindPositional } from './arguments.ts';
import { pointsOf } from './characters.ts';
import { TemplateRuntimeError, typeError, unsupported, valueError } from './errors.ts';
import type { FieldAccess } from './format.ts';
import { repr } from './repr.ts';
import { textMethod } from './strings.ts';
import {
  asIndex,
  asText,
  Callable,
  Dict,
  DictView,
  isEqual,
  List,
  Markup,
  Namespace,
  NativeObject,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Methods that change a list or a dictionary, which the sandbox forbids. */
const changing: Readonly<Record<string, readonly string[]>> = {
  list: ['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'],
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
};

/** Attributes that Python's values have and this has not; to take them as missing would be another answer. */
const unknown: Readonly<Record<string, readonly string[]>> = {
  list: ['copy'],
  dict: ['fromkeys'],
  int: [
    'as_integer_ratio',
    'bit_count',
    'bit_length',
    'conjugate',
    'denominator',
    'from_bytes',
    'imag',
    'numerator',
  ].concat('real', 'to_bytes'),
  float: ['as_integer_ratio', 'conjugate', 'fromhex', 'hex', 'imag', 'real'],
  range: ['count', 'index', 'start', 'step', 'stop'],
  dict_keys: ['isdisjoint', 'mapping'],
  dict_values: ['mapping'],
  dict_items: ['isdisjoint', 'mapping'],
  generator: ['close', 'send', 'throw'],
};
const unknownOf = (type: string) => unknown[type === 'bool' ? 'int' : type] ?? [];

/** How an error names the owner of what is missing. */
const owner = (object: Value) => (object === null ? 'None' : `${typeName(object)} object`);

/** What a missing attribute or item is. */
export function missing(object: Value, name: Value): Undefined {
  return new Undefined(
    typeof name === 'string'
      ? `'${owner(object)}' has no attribute ${repr(name)}`
      : `${owner(object)} has no element ${repr(name)}`,
  );
}

/** Python's `getattr`; undefined if the value has no such attribute. */
function ownAttribute(object: Value, name: string): Value | undefined {
  const type = typeName(object);
  const unsafe = () =>
    new Undefined(`access to attribute ${repr(name)} of ${repr(type)} object is unsafe.`, 'SecurityError');
  if (/^__\w+__$/.test(name)) return unsafe();
  if (changing[type]?.includes(name)) return unsafe();
  if (unknownOf(type).includes(name)) throw unsupported(`the attribute "${name}" of a ${type}`);
  const method = (call: ConstructorParameters<typeof Callable>[1]) => new Callable(name, call);
  if (typeof object === 'string') {
    const found = textMethod(name);
    return found && method((positional, keywords) => found(object, positional, keywords, fieldAccess));
  }
  if (object instanceof Markup) {
    if (textMethod(name)) throw unsupported(`the method "${name}" of an escaped or safe text`);
    return undefined;
  }
  if (object instanceof Dict) {
    switch (name) {
      case 'get':
        return method((positional, keywords) => {
          const [key, otherwise] = bindPositional('get', 1, 2, positional, keywords);
          const value = object.get(key!);
          return value === undefined ? (otherwise ?? null) : value;
        });
      case 'keys':
      case 'values':
      case 'items':
        return method((positional, keywords) => {
          bindPositional(name, 0, 0, positional, keywords);
          return new DictView(name, object);
        });
      case 'copy':
        return method((positional, keywords) => {
          bindPositional(name, 0, 0, positional, keywords);
          return object;
        });
      default:
        return undefined;
    }
  }
  if (object instanceof List || object instanceof Tuple) {
    const { items } = object;
    if (name === 'count') {
      return method((positional, keywords) => {
        const [item] = bindPositional('count', 1, 1, positional, keywords);
        return BigInt(items.filter((other) => isEqual(other, item!)).length);
      });
    }
    if (name === 'index') {
      return method((positional, keywords) => {
        const [item] = bindPositional('index', 1, 1, positional, keywords);
        const index = items.findIndex((other) => isEqual(other, item!));
        if (index === -1) throw valueError(`${repr(item!)} is not in list`);
        return BigInt(index);
      });
    }
    const named = object instanceof Tuple ? object.names.indexOf(name) : -1;
    return named === -1 ? undefined : items[named];
  }
  if (typeof object === 'number' && name === 'is_integer') return method(() => Number.isInteger(object));
  if (object instanceof Callable) return object.attributes.get(name);
  if (object instanceof Namespace) return object.attributes.get(name);
  if (object instanceof NativeObject) return object.attribute(name);
  return undefined;
}

/** `object.name`: an attribute, or else an item. */
export function getAttribute(object: Value, name: string): Value {
  if (object instanceof Undefined) throw object.error();
  const found = ownAttribute(object, name);
  if (found !== undefined) return found;
  const item = ownItem(object, name);
  return item === undefined ? missing(object, name) : item;
}

/** `object[key]`; undefined where Python has a TypeError or a LookupError. */
function ownItem(object: Value, key: Value): Value | undefined {
  if (object instanceof Dict) {
    return key instanceof List || key instanceof Dict ? undefined : object.get(key);
  }
  if (typeof key !== 'bigint' && typeof key !== 'boolean') return undefined;
  const index = asIndex(key);
  if (object instanceof Range) {
    const at = index < 0 ? index + object.length : index;
    return at >= 0 && at < object.length ? object.at(at) : undefined;
  }
  if (object instanceof Markup) throw unsupported('an index into an escaped or safe text');
  const items = typeof object === 'string' ? pointsOf(object) : sequenceOf(object);
  return items?.[index < 0 ? index + items.length : index];
}

const sequenceOf = (object: Value) => (object instanceof List || object instanceof Tuple ? object.items : undefined);

/** `object[key]`: an item, or else an attribute. */
export function getItem(object: Value, key: Value): Value {
  if (object instanceof Undefined) throw object.error();
  const found = ownItem(object, key);
  if (found !== undefined) return found;
  const name = asText(key);
  const attribute = name === undefined ? undefined : ownAttribute(object, name);
  return attribute === undefined ? missing(object, key) : attribute;
}

/** `object[from:to:by]` */
export function getSlice(object: Value, from: Value, to: Value, by: Value): Value {
  if (object instanceof Undefined) throw object.error();
  if (object instanceof Markup) throw unsupported('a slice of an escaped or safe text');
  if (object instanceof Range) return sliceRange(object, from, to, by);
  const items = typeof object === 'string' ? pointsOf(object) : sequenceOf(object);
  if (items === undefined) {
    throw typeError(
      object instanceof Dict ? "unhashable type: 'slice'" : `'${typeName(object)}' object is not subscriptable`,
    );
  }
  const { start, step, count } = sliceIndices(items.length, from, to, by);
  const picked = Array.from({ length: count }, (_, i) => items[start + i * step]!);
  if (typeof object === 'string') return picked.join('');
  return object instanceof Tuple ? new Tuple(picked) : new List(picked);
}

function sliceRange(range: Range, from: Value, to: Value, by: Value): Range {
  const { start, stop, step } = sliceIndices(range.length, from, to, by);
  return new Range(range.at(start), range.at(stop), range.step * BigInt(step));
}

function sliceIndices(length: number, from: Value, to: Value, by: Value) {
  const bound = (value: Value) => {
    if (value === null) return undefined;
    if (typeof value !== 'bigint' && typeof value !== 'boolean') {
      throw typeError('slice indices must be integers or None or have an __index__ method');
    }
    return asIndex(value);
  };
  const step = bound(by) ?? 1;
  if (step === 0) throw valueError('slice step cannot be zero');
  const lowest = step < 0 ? -1 : 0;
  const highest = step < 0 ? length - 1 : length;
  const place = (value: number | undefined, otherwise: number) => {
    if (value === undefined) return otherwise;
    return Math.min(highest, Math.max(lowest, value < 0 ? value + length : value));
  };
  const start = place(bound(from), step < 0 ? highest : lowest);
  const stop = place(bound(to), step < 0 ? lowest : highest);
  return { start, stop, step, count: Math.max(0, Math.ceil((stop - start) / step)) };
}

/** Calls a value as a function. */
export function callValue(callee: Value, positional: readonly Value[], keywords: ReadonlyMap<string, Value>): Value {
  if (callee instanceof Callable) return callee.call(positional, keywords);
  if (callee instanceof Undefined) throw callee.error();
  if (callee instanceof NativeObject && callee.call !== undefined) return callee.call(positional, keywords);
  throw typeError(`'${typeName(callee)}' object is not callable`);
}

const fieldAccess: FieldAccess = { attribute: getAttribute, item: getItem };

/** The named arguments that a call's `**argument` gives. */
export function spreadKeywords(spread: Value): [string, Value][] {
  if (!(spread instanceof Dict)) throw typeError(`argument after ** must be a mapping, not ${typeName(spread)}`);
  return spread.entries().map(([key, value]) => {
    if (typeof key !== 'string') throw typeError('keywords must be strings');
    return [key, value];
  });
}

/** Sets an attribute of a namespace. */
export function setNamespace(target: Value, name: string, value: Value): void {
  if (!(target instanceof Namespace)) {
    throw new TemplateRuntimeError('TemplateRuntimeError', 'cannot assign attribute on non-namespace object');
  }
  checkNamespaceName(name);
  target.attributes.set(name, value);
}

export function checkNamespaceName(name: string): void {
  if (name.startsWith('_')) {
    throw new TemplateRuntimeError(
      'SecurityError',
      `an attribute of a namespace cannot begin with an underscore: ${repr(name)}`,
    );
  }
}
