/**
 * The values of a template, as Python has them: whole numbers are `bigint`, floats `number`, texts `string`, `None` is
 * `null`; lists, tuples and dictionaries are classes of their own, so that nothing of JavaScript's objects is in reach.
 *
 * @module
 */

import { compareTexts, lengthOf, pointsOf } from './characters.ts';
import { TemplateRuntimeError, typeError, undefinedError } from './errors.ts';

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Undefined
  | Markup
  | List
  | Tuple
  | Dict
  | DictView
  | Range
  | Iteration
  | Callable
  | Namespace
  | NativeObject;

/** What a missing variable, attribute or item is. It prints as nothing and is false; most else fails. */
export class Undefined {
  readonly message: string;
  readonly kind: string;
  constructor(message: string, kind = 'UndefinedError') {
    this.message = message;
    this.kind = kind;
  }
  error(): TemplateRuntimeError {
    return this.kind === 'UndefinedError'
      ? undefinedError(this.message)
      : new TemplateRuntimeError(this.kind, this.message);
  }
}

/** A text that is safe as HTML, as `|safe` and `|escape` make it; adding to it escapes what is added. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export class List {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

export class Tuple {
  readonly items: readonly Value[];
  /** Names of the items, of a group that `|groupby` made. */
  readonly names: readonly string[];
  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** A dictionary, in the order of its first writing. Keys that are equal in Python, as 1 and 1.0, are one. */
export class Dict {
  readonly #entries = new Map<string, [Value, Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }
  get size(): number {
    return this.#entries.size;
  }
  get(key: Value): Value | undefined {
    return this.#entries.get(hashKey(key))?.[1];
  }
  has(key: Value): boolean {
    return this.#entries.has(hashKey(key));
  }
  /** For building only: a dictionary that a template can see does not change. */
  set(key: Value, value: Value): void {
    const hash = hashKey(key);
    const entry = this.#entries.get(hash);
    this.#entries.set(hash, [entry === undefined ? key : entry[0], value]);
  }
  entries(): [Value, Value][] {
    return [...this.#entries.values()];
  }
  keys(): Value[] {
    return this.entries().map(([key]) => key);
  }
  values(): Value[] {
    return this.entries().map(([, value]) => value);
  }
}

/** What `.keys()`, `.values()` and `.items()` of a dictionary give. */
export class DictView {
  readonly kind: 'keys' | 'values' | 'items';
  readonly dict: Dict;
  constructor(kind: 'keys' | 'values' | 'items', dict: Dict) {
    this.kind = kind;
    this.dict = dict;
  }
  items(): Value[] {
    if (this.kind === 'items') return this.dict.entries().map((entry) => new Tuple(entry));
    return this.kind === 'keys' ? this.dict.keys() : this.dict.values();
  }
}

export class Range {
  readonly start: bigint;
  readonly stop: bigint;
  readonly step: bigint;
  constructor(start: bigint, stop: bigint, step: bigint) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }
  get length(): number {
    const { start, stop, step } = this;
    const distance = step > 0n ? stop - start : start - stop;
    const stride = step > 0n ? step : -step;
    return distance <= 0n ? 0 : Number((distance + stride - 1n) / stride);
  }
  at(index: number): bigint {
    return this.start + BigInt(index) * this.step;
  }
  items(): bigint[] {
    return Array.from({ length: this.length }, (_, index) => this.at(index));
  }
}

/** An iterator or generator: it gives its values once. */
export class Iteration {
  readonly typeName: string;
  readonly #iterator: Iterator<Value>;
  constructor(iterator: Iterator<Value>, typeName = 'generator') {
    this.#iterator = iterator;
    this.typeName = typeName;
  }
  next(): IteratorResult<Value> {
    return this.#iterator.next();
  }
}

export type Keywords = ReadonlyMap<string, Value>;

/** A function, a method or a macro. */
export class Callable {
  readonly name: string;
  readonly call: (positional: readonly Value[], keywords: Keywords) => Value;
  readonly typeName: string;
  /** What a template may read of it. */
  readonly attributes: ReadonlyMap<string, Value>;
  constructor(
    name: string,
    call: (positional: readonly Value[], keywords: Keywords) => Value,
    options: { typeName?: string; attributes?: ReadonlyMap<string, Value> } = {},
  ) {
    this.name = name;
    this.call = call;
    this.typeName = options.typeName ?? 'builtin_function_or_method';
    this.attributes = options.attributes ?? new Map();
  }
}

/** What `namespace()` makes: the one object that a template can change. */
export class Namespace {
  readonly attributes = new Map<string, Value>();
}

/** An object of the interpreter's own with attributes, such as `loop`. */
export abstract class NativeObject {
  abstract readonly typeName: string;
  abstract attribute(name: string): Value | undefined;
  call?(positional: readonly Value[], keywords: Keywords): Value;
  length?(): number;
  text?(): string;
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'float';
  if (typeof value === 'string') return 'str';
  if (value instanceof List) return 'list';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Dict) return 'dict';
  if (value instanceof DictView) return `dict_${value.kind}`;
  if (value instanceof Range) return 'range';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Markup) return 'Markup';
  if (value instanceof Namespace) return 'TemplateNamespace';
  return value.typeName;
}

/** Whether Python takes the value as true. */
export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value !== 'object') return Boolean(value);
  if (value instanceof Markup) return value.text !== '';
  if (value instanceof List || value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof DictView) return value.dict.size > 0;
  if (value instanceof Range) return value.length > 0;
  if (value instanceof NativeObject) return value.length === undefined || value.length() > 0;
  return true;
}

/** A number of Python's, booleans among them; undefined for everything else. */
export function asNumber(value: Value): bigint | number | undefined {
  if (typeof value === 'bigint' || typeof value === 'number') return value;
  return typeof value === 'boolean' ? BigInt(value) : undefined;
}

/** The text of a text, be it safe or not; undefined for everything else. */
export function asText(value: Value): string | undefined {
  return typeof value === 'string' ? value : value instanceof Markup ? value.text : undefined;
}

/** A whole number as an index or count, within JavaScript's safe range. */
export function asIndex(value: Value, what = `'${typeName(value)}' object`): number {
  if (typeof value === 'boolean') return Number(value);
  if (value instanceof Undefined) throw value.error();
  if (typeof value !== 'bigint') throw typeError(`${what} cannot be interpreted as an integer`);
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(value > limit ? limit : value < -limit ? -limit : value);
}

/** Python's `==`. */
export function isEqual(a: Value, b: Value): boolean {
  const x = asNumber(a);
  const y = asNumber(b);
  // biome-ignore lint/suspicious/noDoubleEquals: A float and a whole number are compared by their exact values.
  if (x !== undefined || y !== undefined) return x !== undefined && y !== undefined && x == y;
  const left = asText(a);
  if (left !== undefined) return left === asText(b);
  if (a instanceof Undefined) return b instanceof Undefined;
  if (a instanceof List) return b instanceof List && sameItems(a.items, b.items);
  if (a instanceof Tuple) return b instanceof Tuple && sameItems(a.items, b.items);
  if (a instanceof Range) return b instanceof Range && sameItems(a.items(), b.items());
  if (a instanceof Dict) {
    if (!(b instanceof Dict) || a.size !== b.size) return false;
    return a.entries().every(([key, value]) => {
      const other = b.get(key);
      return other !== undefined && isEqual(value, other);
    });
  }
  if (a instanceof DictView && b instanceof DictView && a.kind === b.kind && a.kind !== 'values') {
    const others = b.items();
    return a.dict.size === b.dict.size && a.items().every((item) => others.some((other) => isEqual(item, other)));
  }
  return a === b;
}

function sameItems(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, index) => isEqual(item, b[index]!));
}

/** Python's `<` and its like. */
export function compare(operator: '<' | '<=' | '>' | '>=', a: Value, b: Value): boolean {
  const x = asNumber(a);
  const y = asNumber(b);
  const decide = (less: boolean, equal: boolean, greater: boolean) =>
    operator[0] === '<' ? less || (equal && operator === '<=') : greater || (equal && operator === '>=');
  // biome-ignore lint/suspicious/noDoubleEquals: A float and a whole number are compared by their exact values.
  if (x !== undefined && y !== undefined) return decide(x < y, x == y, x > y);
  const left = asText(a);
  const right = asText(b);
  if (left !== undefined && right !== undefined) {
    const order = compareTexts(left, right);
    return decide(order < 0, order === 0, order > 0);
  }
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    const length = Math.min(a.items.length, b.items.length);
    for (let i = 0; i < length; i++) {
      if (!isEqual(a.items[i]!, b.items[i]!)) return compare(operator, a.items[i]!, b.items[i]!);
    }
    const order = a.items.length - b.items.length;
    return decide(order < 0, order === 0, order > 0);
  }
  for (const side of [a, b]) if (side instanceof Undefined) throw side.error();
  throw typeError(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** A text that is the same for keys that Python takes as equal. */
export function hashKey(key: Value): string {
  if (typeof key === 'string') return `s${key}`;
  if (key === null) return 'None';
  if (typeof key === 'number') return Number.isInteger(key) ? `n${BigInt(key)}` : `f${key}`;
  const number = asNumber(key);
  if (number !== undefined) return `n${number}`;
  if (key instanceof Markup) return `s${key.text}`;
  if (key instanceof Undefined) return 'undefined';
  if (key instanceof Tuple) return `(${key.items.map((item) => JSON.stringify(hashKey(item))).join()})`;
  if (key instanceof List || key instanceof Dict) throw typeError(`unhashable type: '${typeName(key)}'`);
  throw new TemplateRuntimeError('Unsupported', `a ${typeName(key)} as the key of a dictionary is not supported`);
}

/** Python's `len`. */
export function lengthOfValue(value: Value): number {
  const text = asText(value);
  if (text !== undefined) return lengthOf(text);
  if (value instanceof List || value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof DictView) return value.dict.size;
  if (value instanceof Range) return value.length;
  if (value instanceof Undefined) return 0;
  if (value instanceof NativeObject && value.length !== undefined) return value.length();
  throw typeError(`object of type '${typeName(value)}' has no len()`);
}

/** Whether Python's `iter` takes the value. */
export function isIterable(value: Value): boolean {
  return (
    asText(value) !== undefined ||
    [Undefined, List, Tuple, Dict, DictView, Range, Iteration].some((type) => value instanceof type)
  );
}

/** Python's `iter`: the values one by one. */
export function* iterate(value: Value): Generator<Value, undefined> {
  if (value instanceof Iteration) {
    while (true) {
      const { done, value: item } = value.next();
      if (done) return;
      yield item;
    }
  }
  yield* itemsOf(value);
}

/** All values of an iterable; an iterator is used up by it. */
export function itemsOf(value: Value): readonly Value[] {
  if (value instanceof List || value instanceof Tuple) return value.items;
  const text = asText(value);
  if (text !== undefined) return pointsOf(text);
  if (value instanceof Dict) return value.keys();
  if (value instanceof DictView || value instanceof Range) return value.items();
  if (value instanceof Undefined) return [];
  if (value instanceof Iteration) return [...iterate(value)];
  throw typeError(`'${typeName(value)}' object is not iterable`);
}

/** Python's `in`. */
export function contains(container: Value, item: Value): boolean {
  const text = asText(container);
  if (text !== undefined) {
    const part = asText(item);
    if (part === undefined) throw typeError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    return text.includes(part);
  }
  if (container instanceof Dict) return container.has(item);
  if (container instanceof DictView && container.kind === 'keys') return container.dict.has(item);
  if (!isIterable(container)) throw typeError(`argument of type '${typeName(container)}' is not iterable`);
  for (const other of iterate(container)) if (other === item || isEqual(other, item)) return true;
  return false;
}

/**
 * Plain data, as it comes from JSON, as values. JSON of other languages tells 1 from 1.0; a JavaScript number does not,
 * so a whole number that JavaScript holds exactly is an `int` and every other number a `float`.
 */
export function fromPlain(data: unknown): Value {
  if (data === null || typeof data === 'string' || typeof data === 'boolean' || typeof data === 'bigint') return data;
  if (typeof data === 'number') return Number.isSafeInteger(data) ? BigInt(data) : data;
  if (Array.isArray(data)) return new List(data.map((item) => fromPlain(item ?? null)));
  if (typeof data === 'object') {
    const entries = Object.entries(data).filter(([, value]) => value !== undefined);
    return new Dict(entries.map(([key, value]) => [key, fromPlain(value)] as const));
  }
  throw new TypeError(`a template cannot be given a ${typeof data}`);
}
