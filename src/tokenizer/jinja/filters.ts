/**
 * Jinja's filters, with `tojson` as transformers has it.
 *
 * @module
 */

import { getAttribute, missing } from './access.ts';
import { bind } from './arguments.ts';
import { lengthOf, pointsOf, sliceOf, space, strip } from './characters.ts';
import { TemplateRuntimeError, typeError, unsupported, valueError } from './errors.ts';
import { escapeAlways, escapeHtml } from './escape.ts';
import { formatPercent } from './format.ts';
import { dumps, indentOf } from './json.ts';
import { checkItems, checkLength, joinChecked } from './limits.ts';
import { arithmetic, parseFloatText, parseInteger, roundNumber, toFloat, truncate } from './numbers.ts';
import { binary } from './operators.ts';
import { toText } from './repr.ts';
import { attributeGetter, attributesGetter, identity, ignoreCase, sorted } from './sort.ts';
import { capitalize, justify, replaceText, splitLines } from './strings.ts';
import {
  asIndex,
  asNumber,
  asText,
  compare,
  Dict,
  DictView,
  hashKey,
  Iteration,
  isEqual,
  isTrue,
  itemsOf,
  iterate,
  type Keywords,
  List,
  lengthOfValue,
  Markup,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Other filters and tests, which `map` and `select` call by name. */
export interface Registry {
  filter(name: string, value: Value, positional: readonly Value[], keywords: Keywords): Value;
  test(name: string, value: Value, positional: readonly Value[], keywords: Keywords): boolean;
}

type Given = (Value | undefined)[];
type Filter = (value: Value, positional: readonly Value[], keywords: Keywords, registry: Registry) => Value;

const argumentError = (message: string) => new TemplateRuntimeError('FilterArgumentError', message);

/** A filter with named parameters. */
function filter(name: string, parameters: string[], run: (value: Value, given: Given) => Value, required = 0): Filter {
  return (value, positional, keywords) => run(value, bind(name, parameters, positional, keywords, required));
}

/** A filter that maps texts; a safe text stays safe. */
function textFilter(name: string, change: (text: string) => string): Filter {
  return filter(name, [], (value) => {
    const text = change(toText(value));
    return value instanceof Markup ? new Markup(text) : text;
  });
}

const generator = (values: Generator<Value, void>) => new Iteration(values as Iterator<Value>);

const orUndefined = (value: Value | undefined, why: string): Value =>
  value === undefined ? new Undefined(why) : value;

function* batch(value: Value, size: number, fill: Value): Generator<Value, void> {
  let items: Value[] = [];
  for (const item of iterate(value)) {
    if (items.length === size) {
      yield new List(items);
      items = [];
    }
    items.push(item);
  }
  if (items.length === 0) return;
  if (fill !== null && items.length < size) {
    checkItems(size);
    items.push(...Array.from({ length: size - items.length }, () => fill));
  }
  yield new List(items);
}

function* slice(value: Value, count: number, fill: Value): Generator<Value, void> {
  const items = itemsOf(value);
  if (count === 0) throw new TemplateRuntimeError('ZeroDivisionError', 'integer division or modulo by zero');
  const each = Math.floor(items.length / count);
  const extra = items.length - each * count;
  let start = 0;
  for (let i = 0; i < count; i++) {
    const end = start + each + (i < extra ? 1 : 0);
    const part = items.slice(start, end);
    yield new List(fill !== null && i >= extra ? [...part, fill] : part);
    start = end;
  }
}

function* unique(value: Value, key: (item: Value) => Value): Generator<Value, void> {
  const seen = new Set<string>();
  for (const item of iterate(value)) {
    const hash = hashKey(key(item));
    if (!seen.has(hash)) yield item;
    seen.add(hash);
  }
}

/** `select`, `reject` and their like with an attribute. */
function selecting(keep: boolean, ofAttribute: boolean): Filter {
  return (value, positional, keywords, registry) =>
    generator(
      (function* () {
        if (!isTrue(value)) return;
        if (ofAttribute && positional[0] === undefined) throw argumentError('Missing parameter for attribute name');
        const get = ofAttribute ? attributeGetter(positional[0]!) : identity;
        const [test, ...rest] = positional.slice(ofAttribute ? 1 : 0);
        for (const item of iterate(value)) {
          const tested = get(item);
          const passes = test === undefined ? isTrue(tested) : registry.test(nameOf(test), tested, rest, keywords);
          if (passes === keep) yield item;
        }
      })(),
    );
}

function nameOf(value: Value): string {
  const name = asText(value);
  if (name === undefined) throw typeError(`the name of a filter or test must be a text, not ${typeName(value)}`);
  return name;
}

function mapping(value: Value, positional: readonly Value[], keywords: Keywords, registry: Registry): Value {
  return generator(
    (function* () {
      if (!isTrue(value)) return;
      let run: (item: Value) => Value;
      if (positional.length === 0 && keywords.has('attribute')) {
        for (const name of keywords.keys()) {
          if (name !== 'attribute' && name !== 'default') throw argumentError(`Unexpected keyword argument '${name}'`);
        }
        run = attributeGetter(keywords.get('attribute')!, identity, keywords.get('default') ?? null);
      } else {
        const [name, ...rest] = positional;
        if (name === undefined) throw argumentError('map requires a filter argument');
        run = (item) => registry.filter(nameOf(name), item, rest, keywords);
      }
      for (const item of iterate(value)) yield run(item);
    })(),
  );
}

function extreme(name: 'min' | 'max'): Filter {
  return filter(name, ['case_sensitive', 'attribute'], (value, [caseSensitive = false, attribute = null]) => {
    const key = attributeGetter(attribute, isTrue(caseSensitive) ? identity : ignoreCase);
    let best: { item: Value; key: Value } | undefined;
    for (const item of iterate(value)) {
      const next = { item, key: key(item) };
      if (best === undefined || compare(name === 'min' ? '<' : '>', next.key, best.key)) best = next;
    }
    return best === undefined ? new Undefined('No aggregated item, sequence was empty.') : best.item;
  });
}

function groupBy(value: Value, [attribute, otherwise = null, caseSensitive = false]: Given): Value {
  const key = attributeGetter(attribute!, isTrue(caseSensitive) ? identity : ignoreCase, otherwise);
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(itemsOf(value), key)) {
    const own = key(item);
    const last = groups.at(-1);
    if (last !== undefined && isEqual(last.key, own)) last.items.push(item);
    else groups.push({ key: own, items: [item] });
  }
  const shown = attributeGetter(attribute!, identity, otherwise);
  return new List(
    groups.map(({ key: own, items }) => {
      const name = isTrue(caseSensitive) ? own : shown(items[0]!);
      return new Tuple([name, new List(items)], ['grouper', 'list']);
    }),
  );
}

function dictSort(value: Value, [caseSensitive = false, by = 'key', reverse = false]: Given): Value {
  if (by !== 'key' && by !== 'value') throw argumentError('You can only sort by either "key" or "value"');
  if (value instanceof Undefined) throw value.error();
  if (!(value instanceof Dict)) throw typeError(`'${typeName(value)}' object has no attribute 'items'`);
  const key = (item: Value) => {
    const own = (item as Tuple).items[by === 'key' ? 0 : 1]!;
    return isTrue(caseSensitive) ? own : ignoreCase(own);
  };
  const items = value.entries().map((entry) => new Tuple(entry));
  return new List(sorted(items, key, isTrue(reverse)));
}

function reverse(value: Value): Value {
  if (typeof value === 'string') return pointsOf(value).reverse().join('');
  if (value instanceof Markup) return new Markup(pointsOf(value.text).reverse().join(''));
  if (value instanceof Undefined || value instanceof Iteration) return new List([...itemsOf(value)].reverse());
  const kinds = {
    list: 'list_reverseiterator',
    tuple: 'reversed',
    range: 'range_iterator',
    dict: 'dict_reversekeyiterator',
  };
  const kind = typeName(value) as keyof typeof kinds;
  if (!(kind in kinds) && !(value instanceof DictView)) throw argumentError('argument must be iterable');
  return new Iteration([...itemsOf(value)].reverse().values(), kinds[kind] ?? 'reversed');
}

function indent(value: Value, [width = 4n, first = false, blank = false]: Given): Value {
  const text = asText(value);
  if (text === undefined) {
    if (value instanceof Undefined) throw value.error();
    throw typeError(`unsupported operand type(s) for +=: '${typeName(value)}' and 'str'`);
  }
  const wide = asText(width);
  if (wide === undefined) checkLength(asIndex(width));
  const indention = wide ?? ' '.repeat(Math.max(0, asIndex(width)));
  const lines = splitLines(`${text}\n`, false);
  const indented = lines.map((line, index) => (index > 0 && (line !== '' || isTrue(blank)) ? indention + line : line));
  const result = (isTrue(first) ? indention : '') + joinChecked(indented, '\n');
  return value instanceof Markup ? new Markup(result) : result;
}

function truncateText(value: Value, [length = 255n, killWords = false, end = '...', leeway = null]: Given): Value {
  const text = asText(value);
  const most = asIndex(length);
  const tail = toText(end);
  const slack = leeway === null ? 5 : asIndex(leeway);
  if (most < lengthOf(tail) || slack < 0) {
    throw new TemplateRuntimeError('AssertionError', `expected length >= ${lengthOf(tail)}, got ${most}`);
  }
  if (lengthOfValue(value) <= most + slack) return value;
  if (text === undefined) throw unsupported(`truncating a ${typeName(value)}`);
  const cut = sliceOf(text, 0, most - lengthOf(tail));
  if (isTrue(killWords)) return cut + tail;
  const blank = cut.lastIndexOf(' ');
  return (blank === -1 ? cut : cut.slice(0, blank)) + tail;
}

function toInteger(value: Value, [otherwise = 0n, base = 10n]: Given): Value {
  const text = asText(value);
  if (text !== undefined) {
    const parsed = parseInteger(strip(text, undefined, 'both'), asIndex(base));
    if (parsed !== undefined) return parsed;
    const float = parseFloatText(strip(text, undefined, 'both'));
    return float === undefined || !Number.isFinite(float) ? otherwise : truncate(float);
  }
  const number = asNumber(value);
  if (number === undefined) {
    if (value instanceof Undefined) throw value.error();
    return otherwise;
  }
  if (typeof number === 'bigint') return number;
  // An infinite number fails in `int`, with an error that the filter does not catch.
  return Number.isNaN(number) ? otherwise : truncate(number);
}

function toFloatFilter(value: Value, [otherwise = 0]: Given): Value {
  const text = asText(value);
  if (text !== undefined) return parseFloatText(strip(text, undefined, 'both')) ?? otherwise;
  if (value instanceof Undefined) throw value.error();
  const number = asNumber(value);
  return number === undefined ? otherwise : toFloat(number);
}

function round(value: Value, [precision = 0n, method = 'common']: Given): Value {
  if (value instanceof Undefined) throw value.error();
  const number = asNumber(value);
  if (method !== 'common' && method !== 'ceil' && method !== 'floor') {
    throw argumentError('method must be common, ceil or floor');
  }
  if (number === undefined) throw typeError(`type ${typeName(value)} doesn't define __round__ method`);
  if (method === 'common') {
    if (precision !== null) return roundNumber(number, asIndex(precision));
    return typeof number === 'bigint' ? number : truncate(roundNumber(number, 0) as number);
  }
  const scale = arithmetic('**', 10n, asNumber(precision)!);
  const scaled = arithmetic('*', number, scale);
  const whole = typeof scaled === 'bigint' ? scaled : truncate(Math[method](scaled));
  return arithmetic('/', whole, scale);
}

function toJson(value: Value, [ensureAscii = false, level = null, separators = null, sortKeys = false]: Given): Value {
  let pair: readonly [string, string] = [level === null ? ', ' : ',', ': '];
  if (separators !== null) {
    const [item, key] = itemsOf(separators).map(asText);
    if (item === undefined || key === undefined) throw typeError('separators must be two texts');
    pair = [item, key];
  }
  return dumps(value, {
    ensureAscii: isTrue(ensureAscii),
    indent: indentOf(level),
    separators: pair,
    sortKeys: isTrue(sortKeys),
  });
}

function quoteUrl(value: Value, forQuery: boolean): string {
  const text = toText(value);
  const quoted = [...new TextEncoder().encode(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      const safe = /[A-Za-z0-9_.~-]/.test(character) || (character === '/' && !forQuery);
      return safe ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
  return forQuery ? quoted.replaceAll('%20', '+') : quoted;
}

function urlEncode(value: Value): Value {
  if (asText(value) !== undefined || asNumber(value) !== undefined || value === null) return quoteUrl(value, false);
  const pairs = value instanceof Dict ? value.entries() : itemsOf(value).map(pairOf);
  return pairs.map(([key, item]) => `${quoteUrl(key!, true)}=${quoteUrl(item!, true)}`).join('&');
}

function pairOf(value: Value): readonly Value[] {
  const items = itemsOf(value);
  if (items.length !== 2) throw valueError(`expected pairs to encode; got one of ${items.length} values`);
  return items;
}

const fileSizes = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];

function fileSize(value: Value, [binarySizes = false]: Given): Value {
  const bytes =
    asText(value) === undefined ? asNumber(value) : parseFloatText(strip(asText(value)!, undefined, 'both'));
  if (bytes === undefined) throw valueError('filesizeformat needs a number');
  const size = toFloat(bytes);
  const base = isTrue(binarySizes) ? 1024 : 1000;
  if (size === 1) return '1 Byte';
  if (size < base) return `${truncate(size)} Bytes`;
  let power = 0;
  while (power < fileSizes.length - 1 && size >= base ** (power + 2)) power++;
  const number = formatPercent('%.1f', (base * size) / base ** (power + 2));
  const letter = fileSizes[power]!;
  return `${number} ${isTrue(binarySizes) ? letter.toUpperCase() : letter}${isTrue(binarySizes) ? 'i' : ''}B`;
}

function absolute(value: Value): Value {
  const number = asNumber(value);
  if (number === undefined) {
    throw value instanceof Undefined ? value.error() : typeError(`bad operand type for abs(): '${typeName(value)}'`);
  }
  return typeof number === 'bigint' ? (number < 0n ? -number : number) : Math.abs(number);
}

const escapeFilter = filter('escape', [], escapeHtml);
const lengthFilter = filter('length', [], (value) => BigInt(lengthOfValue(value)));
const defaultFilter = filter('default', ['default_value', 'boolean'], (value, [otherwise = '', falsy = false]) =>
  value instanceof Undefined || (isTrue(falsy) && !isTrue(value)) ? otherwise : value,
);
const wordStart = new RegExp(`((?:[-({\\[<]|${space})+)`);

export const filters: Readonly<Record<string, Filter>> = {
  abs: filter('abs', [], absolute),
  attr: filter(
    'attr',
    ['name'],
    (value, [name]) => {
      if (value instanceof Undefined) throw value.error();
      if (value instanceof Dict) {
        // Only an attribute counts, not a key.
        const isMethod = !(getAttribute(new Dict(), nameOf(name!)) instanceof Undefined);
        return isMethod ? getAttribute(value, nameOf(name!)) : missing(value, name!);
      }
      return getAttribute(value, nameOf(name!));
    },
    1,
  ),
  batch: filter(
    'batch',
    ['linecount', 'fill_with'],
    (value, [size, fill = null]) => generator(batch(value, asIndex(size!), fill)),
    1,
  ),
  capitalize: textFilter('capitalize', capitalize),
  center: filter('center', ['width'], (value, [width = 80n]) => justify(toText(value), asIndex(width), ' ', 'center')),
  count: lengthFilter,
  d: defaultFilter,
  default: defaultFilter,
  dictsort: filter('dictsort', ['case_sensitive', 'by', 'reverse'], dictSort),
  e: escapeFilter,
  escape: escapeFilter,
  filesizeformat: filter('filesizeformat', ['binary'], fileSize),
  first: filter('first', [], (value) => {
    if (value instanceof Iteration) {
      const { done, value: item } = value.next();
      return done ? new Undefined('No first item, sequence was empty.') : item;
    }
    return orUndefined(itemsOf(value)[0], 'No first item, sequence was empty.');
  }),
  float: filter('float', ['default'], toFloatFilter),
  forceescape: filter('forceescape', [], escapeAlways),
  format: (value, positional, keywords) => {
    if (positional.length > 0 && keywords.size > 0) {
      throw argumentError("can't handle positional and keyword arguments at the same time");
    }
    return formatPercent(toText(value), keywords.size > 0 ? new Dict(keywords) : new Tuple(positional));
  },
  groupby: filter('groupby', ['attribute', 'default', 'case_sensitive'], groupBy, 1),
  indent: filter('indent', ['width', 'first', 'blank'], indent),
  int: filter('int', ['default', 'base'], toInteger),
  items: filter('items', [], (value) => {
    if (value instanceof Undefined) return generator((function* (): Generator<Value, void> {})());
    if (!(value instanceof Dict)) throw typeError('Can only get item pairs from a mapping.');
    return new Iteration(new DictView('items', value).items().values());
  }),
  join: filter('join', ['d', 'attribute'], (value, [separator = '', attribute = null]) => {
    const get = attributeGetter(attribute);
    const parts: string[] = [];
    for (const item of iterate(value)) parts.push(toText(get(item)));
    return joinChecked(parts, toText(separator));
  }),
  last: filter('last', [], (value) => {
    if (value instanceof Iteration) throw typeError(`'${typeName(value)}' object is not reversible`);
    return orUndefined(itemsOf(value).at(-1), 'No last item, sequence was empty.');
  }),
  length: lengthFilter,
  list: filter('list', [], (value) => new List(itemsOf(value))),
  lower: textFilter('lower', (text) => text.toLowerCase()),
  map: mapping,
  max: extreme('max'),
  min: extreme('min'),
  reject: selecting(false, false),
  rejectattr: selecting(false, true),
  replace: filter(
    'replace',
    ['old', 'new', 'count'],
    (value, [from, to, count = null]) =>
      replaceText(toText(value), toText(from!), toText(to!), count === null ? -1 : asIndex(count)),
    2,
  ),
  reverse: filter('reverse', [], reverse),
  round: filter('round', ['precision', 'method'], round),
  safe: filter('safe', [], (value) => (value instanceof Markup ? value : new Markup(toText(value)))),
  select: selecting(true, false),
  selectattr: selecting(true, true),
  slice: filter(
    'slice',
    ['slices', 'fill_with'],
    (value, [count, fill = null]) => generator(slice(value, asIndex(count!), fill)),
    1,
  ),
  sort: filter(
    'sort',
    ['reverse', 'case_sensitive', 'attribute'],
    (value, [backwards = false, caseSensitive = false, attribute = null]) => {
      const keys = attributesGetter(attribute, isTrue(caseSensitive) ? identity : ignoreCase);
      return new List(sorted(itemsOf(value), (item) => new List(keys(item)), isTrue(backwards)));
    },
  ),
  string: filter('string', [], (value) => (value instanceof Markup ? value : toText(value))),
  sum: filter('sum', ['attribute', 'start'], (value, [attribute = null, start = 0n]) => {
    if (asText(start) !== undefined) throw typeError("sum() can't sum strings [use ''.join(seq) instead]");
    const get = attributeGetter(attribute);
    let total = start;
    for (const item of iterate(value)) total = binary('+', total, get(item));
    return total;
  }),
  title: textFilter('title', (text) =>
    text
      .split(wordStart)
      .map((part) => {
        const [first = '', ...rest] = pointsOf(part ?? '');
        return first.toUpperCase() + rest.join('').toLowerCase();
      })
      .join(''),
  ),
  tojson: filter('tojson', ['ensure_ascii', 'indent', 'separators', 'sort_keys'], toJson),
  trim: filter('trim', ['chars'], (value, [characters = null]) => {
    const text = strip(toText(value), characters === null ? undefined : nameOf(characters), 'both');
    return value instanceof Markup ? new Markup(text) : text;
  }),
  truncate: filter('truncate', ['length', 'killwords', 'end', 'leeway'], truncateText),
  unique: filter('unique', ['case_sensitive', 'attribute'], (value, [caseSensitive = false, attribute = null]) =>
    generator(unique(value, attributeGetter(attribute, isTrue(caseSensitive) ? identity : ignoreCase))),
  ),
  upper: textFilter('upper', (text) => text.toUpperCase()),
  urlencode: filter('urlencode', [], urlEncode),
  wordcount: filter('wordcount', [], (value) => BigInt(toText(value).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)),
};
