/**
 * The methods of Python's `str`.
 *
 * @module
 */

import { bind, bindPositional } from './arguments.ts';
import {
  isCased,
  isLowerCase,
  isSpace,
  isUpperCase,
  lengthOf,
  lowerAt,
  pointsOf,
  sliceOf,
  space,
  strip,
  titleCase,
  titleWords,
} from './characters.ts';
import { typeError, unsupported, valueError } from './errors.ts';
import { type FieldAccess, formatBraces } from './format.ts';
import { checkLength, joinChecked } from './limits.ts';
import { isPrintable } from './repr.ts';
import { asIndex, asText, Dict, isTrue, iterate, type Keywords, List, Tuple, typeName, type Value } from './values.ts';

type Method = (text: string, positional: readonly Value[], keywords: Keywords, access: FieldAccess) => Value;

function textArgument(name: string, value: Value | undefined): string {
  const text = value === undefined ? undefined : asText(value);
  if (text === undefined) throw typeError(`${name}() argument must be str, not ${typeName(value ?? null)}`);
  return text;
}

/** The part of a text between two optional bounds that may be negative, and where it begins. */
function window(text: string, from: Value | undefined, to: Value | undefined): { part: string; start: number } {
  const length = lengthOf(text);
  const clamp = (value: Value | undefined, otherwise: number) => {
    if (value === undefined || value === null) return otherwise;
    const index = asIndex(value, 'slice indices');
    return Math.max(0, index < 0 ? index + length : index);
  };
  const start = clamp(from, 0);
  return { start: start > length ? -1 : start, part: sliceOf(text, start, Math.min(length, clamp(to, length))) };
}

function search(name: string, last: boolean, fails: boolean): Method {
  return (text, positional, keywords) => {
    const [what, from, to] = bindPositional(name, 1, 3, positional, keywords);
    const part = textArgument(name, what);
    const { part: inside, start } = window(text, from, to);
    const unit = start === -1 ? -1 : last ? inside.lastIndexOf(part) : inside.indexOf(part);
    if (unit === -1 && fails) throw valueError('substring not found');
    return unit === -1 ? -1n : BigInt(start + lengthOf(inside.slice(0, unit)));
  };
}

function affix(name: 'startsWith' | 'endsWith'): Method {
  return (text, positional, keywords) => {
    const [what, from, to] = bindPositional(name.toLowerCase(), 1, 3, positional, keywords);
    const { part, start } = window(text, from, to);
    const options = what instanceof Tuple ? what.items : [what];
    return options.some((option) => {
      const other = textArgument(name.toLowerCase(), option);
      return start !== -1 && part[name](other);
    });
  };
}

function stripping(name: string, sides: 'both' | 'left' | 'right'): Method {
  return (text, positional, keywords) => {
    const [characters] = bindPositional(name, 0, 1, positional, keywords);
    const given = characters === undefined || characters === null ? undefined : textArgument(name, characters);
    return strip(text, given, sides);
  };
}

/** Parts between runs of white space, after at most `most` cuts, from the left or the right. */
function splitBlanks(text: string, most: number, fromRight: boolean): string[] {
  const words: string[] = [];
  const gap = new RegExp(`${space}+`);
  let rest = strip(text, undefined, fromRight ? 'right' : 'left');
  while (rest !== '') {
    if (fromRight) {
      let begin = rest.length;
      while (begin > 0 && !isSpace(rest[begin - 1]!)) begin--;
      if (words.length >= most) begin = 0;
      words.unshift(rest.slice(begin));
      rest = strip(rest.slice(0, begin), undefined, 'right');
    } else {
      const found = words.length < most ? gap.exec(rest) : null;
      words.push(found === null ? rest : rest.slice(0, found.index));
      rest = found === null ? '' : rest.slice(found.index + found[0].length);
    }
  }
  return words;
}

function splitting(name: string, fromRight: boolean): Method {
  return (text, positional, keywords) => {
    const [separator = null, limit] = bind(name, ['sep', 'maxsplit'], positional, keywords);
    const count = limit === undefined ? -1 : asIndex(limit);
    const most = count < 0 ? Number.POSITIVE_INFINITY : count;
    if (separator === null) return new List(splitBlanks(text, most, fromRight));
    const by = textArgument(name, separator);
    if (by === '') throw valueError('empty separator');
    const parts = text.split(by);
    const extra = parts.length - 1 - most;
    if (extra > 0) {
      if (fromRight) parts.splice(0, extra + 1, parts.slice(0, extra + 1).join(by));
      else parts.splice(most, extra + 1, parts.slice(most).join(by));
    }
    return new List(parts);
  };
}

/** The lines of a text; without their ends unless those are to be kept. */
export function splitLines(text: string, keepEnds: boolean): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: Python ends lines at these.
  const lines = text.split(/(\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])/);
  const result: string[] = [];
  for (let i = 0; i < lines.length; i += 2) {
    const end = lines[i + 1] ?? '';
    if (lines[i] === '' && end === '') break;
    result.push(lines[i]! + (keepEnds ? end : ''));
  }
  return result;
}

/** `text.replace(old, new, count)` */
export function replaceText(text: string, from: string, to: string, count: number): string {
  const pieces = from === '' ? ['', ...pointsOf(text), ''] : text.split(from);
  const cuts = count < 0 ? pieces.length - 1 : Math.min(count, pieces.length - 1);
  const kept = pieces.slice(cuts).join(from);
  return joinChecked([...pieces.slice(0, cuts), kept], to);
}

function justified(name: string, side: 'left' | 'right' | 'center'): Method {
  return (text, positional, keywords) => {
    const [width, filler] = bindPositional(name, 1, 2, positional, keywords);
    const fill = filler === undefined ? ' ' : textArgument(name, filler);
    if (lengthOf(fill) !== 1) throw typeError('The fill character must be exactly one character long');
    return justify(text, asIndex(width!), fill, side);
  };
}

/** A text made wider with a character on one side or on both. */
export function justify(text: string, width: number, fill: string, side: 'left' | 'right' | 'center'): string {
  const missing = width - lengthOf(text);
  if (missing <= 0) return text;
  checkLength(width);
  // CPython puts the odd character to the left only where the width is odd too.
  const left = side === 'left' ? 0 : side === 'right' ? missing : (missing >> 1) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

/** Whether all characters are of a kind, and there is at least one. */
function every(name: string, test: (point: string) => boolean, ofNothing = false): Method {
  return (text, positional, keywords) => {
    bindPositional(name, 0, 0, positional, keywords);
    return text === '' ? ofNothing : pointsOf(text).every(test);
  };
}

/** Whether the letters with a case are all of one case, and there is at least one. */
function allCased(name: string, test: (point: string) => boolean): Method {
  return (text, positional, keywords) => {
    bindPositional(name, 0, 0, positional, keywords);
    const letters = pointsOf(text).filter(isCased);
    return letters.length > 0 && letters.every(test);
  };
}

function mapped(name: string, change: (text: string) => string): Method {
  return (text, positional, keywords) => {
    bindPositional(name, 0, 0, positional, keywords);
    return change(text);
  };
}

export function capitalize(text: string): string {
  const [first = '', ...rest] = pointsOf(text);
  // The whole is lowered at once, since a final sigma depends on what stands before it.
  return first === '' ? '' : titleCase(first) + lowerAfter(first, rest.join(''));
}

function lowerAfter(before: string, text: string): string {
  return (before + text).toLowerCase().slice(before.toLowerCase().length);
}

function isTitle(text: string): boolean {
  let inside = false;
  let found = false;
  for (const point of text) {
    const upper = isUpperCase(point) || /\p{Lt}/u.test(point);
    if (upper ? inside : isLowerCase(point) && !inside) return false;
    inside = upper || isLowerCase(point);
    found ||= inside;
  }
  return found;
}

function partition(name: string, last: boolean): Method {
  return (text, positional, keywords) => {
    const [separator] = bindPositional(name, 1, 1, positional, keywords);
    const by = textArgument(name, separator);
    if (by === '') throw valueError('empty separator');
    const at = last ? text.lastIndexOf(by) : text.indexOf(by);
    if (at === -1) return new Tuple(last ? ['', '', text] : [text, '', '']);
    return new Tuple([text.slice(0, at), by, text.slice(at + by.length)]);
  };
}

/** Digits that are not decimal ones, such as superscripts: ranges for a class of a regular expression. */
const otherDigits = [
  String.raw`\u{b2}-\u{b3}\u{b9}\u{1369}-\u{1371}\u{19da}\u{2070}\u{2074}-\u{2079}\u{2080}-\u{2089}\u{2460}-`,
  String.raw`\u{2468}\u{2474}-\u{247c}\u{2488}-\u{2490}\u{24ea}\u{24f5}-\u{24fd}\u{24ff}\u{2776}-\u{277e}`,
  String.raw`\u{2780}-\u{2788}\u{278a}-\u{2792}\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}`,
  String.raw`\u{1f100}-\u{1f10a}`,
].join('');
/** Ideographs that stand for numbers. */
const numerals = [
  String.raw`\u{3405}\u{3483}\u{382a}\u{3b4d}\u{4e00}\u{4e03}\u{4e07}\u{4e09}\u{4e5d}\u{4e8c}\u{4e94}\u{4e96}`,
  String.raw`\u{4ebf}\u{4ec0}\u{4edf}\u{4ee8}\u{4f0d}\u{4f70}\u{5104}\u{5146}\u{5169}\u{516b}\u{516d}\u{5341}`,
  String.raw`\u{5343}\u{5344}\u{5345}\u{534c}\u{53c1}\u{53c2}\u{53c3}\u{53c4}\u{56db}\u{58f1}\u{58f9}\u{5e7a}`,
  String.raw`\u{5efe}\u{5eff}\u{5f0c}\u{5f0d}\u{5f0e}\u{5f10}\u{62fe}\u{634c}\u{67d2}\u{6f06}\u{7396}\u{767e}`,
  String.raw`\u{8086}\u{842c}\u{8cae}\u{8cb3}\u{8d30}\u{9621}\u{9646}\u{964c}\u{9678}\u{96f6}\u{f96b}\u{f973}`,
  String.raw`\u{f978}\u{f9b2}\u{f9d1}\u{f9d3}\u{f9fd}\u{20001}\u{20064}\u{200e2}\u{20121}\u{2092a}\u{20983}\u{2098c}`,
  String.raw`\u{2099c}\u{20aea}\u{20afd}\u{20b19}\u{22390}\u{22998}\u{23b1b}\u{2626d}\u{2f890}`,
].join('');
const digit = new RegExp(`^[\\p{Nd}${otherDigits}]$`, 'u');
const numeric = new RegExp(`^[\\p{N}${numerals}]$`, 'u');
const alphanumeric = /^[\p{L}\p{N}]$/u;

const methods: Readonly<Record<string, Method>> = {
  capitalize: mapped('capitalize', capitalize),
  center: justified('center', 'center'),
  count: (text, positional, keywords) => {
    const [what, from, to] = bindPositional('count', 1, 3, positional, keywords);
    const part = textArgument('count', what);
    const { part: inside, start } = window(text, from, to);
    if (start === -1) return 0n;
    return BigInt(part === '' ? lengthOf(inside) + 1 : inside.split(part).length - 1);
  },
  endswith: affix('endsWith'),
  expandtabs: (text, positional, keywords) => {
    const [size = 8n] = bind('expandtabs', ['tabsize'], positional, keywords);
    const stop = asIndex(size);
    let column = 0;
    const parts: string[] = [];
    for (const point of text) {
      if (point === '\t') {
        const width = stop > 0 ? stop - (column % stop) : 0;
        checkLength(width);
        parts.push(' '.repeat(width));
        column += width;
      } else {
        parts.push(point);
        column = point === '\n' || point === '\r' ? 0 : column + 1;
      }
    }
    return joinChecked(parts);
  },
  find: search('find', false, false),
  format: (text, positional, keywords, access) => formatBraces(text, positional, keywords, access),
  format_map: (text, positional, keywords, access) => {
    const [mapping] = bindPositional('format_map', 1, 1, positional, keywords);
    if (!(mapping instanceof Dict)) throw unsupported('format_map with something else than a dictionary');
    return formatBraces(text, [], mapping, access);
  },
  index: search('index', false, true),
  isalnum: every('isalnum', (point) => alphanumeric.test(point)),
  isalpha: every('isalpha', (point) => /\p{L}/u.test(point)),
  isascii: every('isascii', (point) => point < '\x80', true),
  isdecimal: every('isdecimal', (point) => /\p{Nd}/u.test(point)),
  isdigit: every('isdigit', (point) => digit.test(point)),
  isidentifier: (text, positional, keywords) => {
    bindPositional('isidentifier', 0, 0, positional, keywords);
    return /^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(text);
  },
  islower: allCased('islower', isLowerCase),
  isnumeric: every('isnumeric', (point) => numeric.test(point)),
  isprintable: every('isprintable', isPrintable, true),
  isspace: every('isspace', isSpace),
  istitle: (text, positional, keywords) => {
    bindPositional('istitle', 0, 0, positional, keywords);
    return isTitle(text);
  },
  isupper: allCased('isupper', isUpperCase),
  join: (text, positional, keywords) => {
    const [values] = bindPositional('join', 1, 1, positional, keywords);
    const parts: string[] = [];
    for (const value of iterate(values!)) {
      const part = asText(value);
      if (part === undefined) {
        throw typeError(`sequence item ${parts.length}: expected str instance, ${typeName(value)} found`);
      }
      parts.push(part);
    }
    return joinChecked(parts, text);
  },
  ljust: justified('ljust', 'left'),
  lower: mapped('lower', (text) => text.toLowerCase()),
  lstrip: stripping('lstrip', 'left'),
  partition: partition('partition', false),
  removeprefix: (text, positional, keywords) => {
    const prefix = textArgument('removeprefix', bindPositional('removeprefix', 1, 1, positional, keywords)[0]);
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  },
  removesuffix: (text, positional, keywords) => {
    const suffix = textArgument('removesuffix', bindPositional('removesuffix', 1, 1, positional, keywords)[0]);
    return suffix !== '' && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
  },
  replace: (text, positional, keywords) => {
    const [from, to, count] = bindPositional('replace', 2, 3, positional, keywords);
    const most = count === undefined ? -1 : asIndex(count);
    return replaceText(text, textArgument('replace', from), textArgument('replace', to), most);
  },
  rfind: search('rfind', true, false),
  rindex: search('rindex', true, true),
  rjust: justified('rjust', 'right'),
  rpartition: partition('rpartition', true),
  rsplit: splitting('rsplit', true),
  rstrip: stripping('rstrip', 'right'),
  split: splitting('split', false),
  splitlines: (text, positional, keywords) => {
    const [keepEnds = false] = bind('splitlines', ['keepends'], positional, keywords);
    return new List(splitLines(text, isTrue(keepEnds)));
  },
  startswith: affix('startsWith'),
  strip: stripping('strip', 'both'),
  swapcase: mapped('swapcase', (text) =>
    pointsOf(text)
      .map((point, index, points) => {
        if (isUpperCase(point)) return lowerAt(points, index);
        return isLowerCase(point) ? point.toUpperCase() : point;
      })
      .join(''),
  ),
  title: mapped('title', titleWords),
  upper: mapped('upper', (text) => text.toUpperCase()),
  zfill: (text, positional, keywords) => {
    const width = asIndex(bindPositional('zfill', 1, 1, positional, keywords)[0]!);
    const sign = /^[-+]/.test(text) ? text[0]! : '';
    return sign + justify(text.slice(sign.length), width - sign.length, '0', 'right');
  },
};

/** Methods that Python's texts have beside those. */
const others = ['casefold', 'encode', 'maketrans', 'translate'];

/** The method of a name; undefined if Python's texts have none. */
export function textMethod(name: string): Method | undefined {
  if (Object.hasOwn(methods, name)) return methods[name];
  if (others.includes(name)) throw unsupported(`the method "${name}" of a text`);
  return undefined;
}
