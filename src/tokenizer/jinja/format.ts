/**
 * Python's two ways to put values into a text: `'%s' % value` and `'{}'.format(value)`.
 *
 * @module
 */

import { lengthOf, sliceOf } from './characters.ts';
import { TemplateRuntimeError, typeError, unsupported, valueError } from './errors.ts';
import { checkLength } from './limits.ts';
import { exponentText, fixedText, floatText, generalText, intText, toFloat, truncate } from './numbers.ts';
import { repr, toText } from './repr.ts';
import { asIndex, asNumber, asText, Dict, type Keywords, List, Tuple, typeName, type Value } from './values.ts';

/** Python's `ascii`: as `repr`, with everything beyond ASCII escaped. */
function ascii(value: Value): string {
  return repr(value).replace(/[^\0-\x7f]/gu, (point) => {
    const code = point.codePointAt(0)!;
    const digits = code.toString(16);
    if (code < 0x100) return `\\x${digits.padStart(2, '0')}`;
    return code < 0x10000 ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`;
  });
}

function pad(text: string, width: number, fill: string, align: string): string {
  const missing = width - lengthOf(text);
  if (missing <= 0) return text;
  checkLength(width);
  if (align === '<') return text + fill.repeat(missing);
  if (align === '>') return fill.repeat(missing) + text;
  const left = Math.floor(missing / 2);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

/** `|value|` of a float, without its sign. */
function floatDigits(value: number, type: string, precision: number, alternate: boolean): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return 'inf';
  if (precision > 1000) throw valueError('a precision of more than 1000 is too large');
  if (type === 'f') return fixedText(value, precision) + (alternate && precision === 0 ? '.' : '');
  return type === 'e' ? exponentText(value, precision) : generalText(value, precision, alternate);
}

const isNegative = (value: bigint | number) => value < 0 || Object.is(value, -0);

/** `text % values` */
export function formatPercent(text: string, values: Value): string {
  const pattern = /%(?:\(([^)]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?([\s\S]?)/g;
  const positional = values instanceof Tuple ? values.items : [values];
  let used = 0;
  let named = false;
  const take = (): Value => {
    if (used >= positional.length) throw typeError('not enough arguments for format string');
    return positional[used++]!;
  };
  const result = text.replace(pattern, (_, name: string | undefined, flags, width, precision, type: string) => {
    if (type === '%') return '%';
    if (type === '') throw valueError('incomplete format');
    let value: Value;
    if (name !== undefined) {
      if (!(values instanceof Dict)) throw typeError('format requires a mapping');
      const found = values.get(name);
      if (found === undefined) throw new TemplateRuntimeError('KeyError', repr(name));
      value = found;
      named = true;
    }
    let size = width === '*' ? asIndex(take()) : Number(width ?? 0);
    const digits = precision === '*' ? asIndex(take()) : precision === undefined ? undefined : Number(precision || 0);
    let left = flags.includes('-');
    if (size < 0) {
      left = true;
      size = -size;
    }
    value ??= name === undefined ? take() : null;
    return formatOne(value, type, { flags, size, digits, left });
  });
  if (!named && used < positional.length && !(values instanceof Dict) && !(values instanceof List)) {
    throw typeError('not all arguments converted during string formatting');
  }
  if (!named && used === 0 && values instanceof Tuple && values.items.length > 0) {
    throw typeError('not all arguments converted during string formatting');
  }
  checkLength(result.length);
  return result;
}

function formatOne(
  value: Value,
  type: string,
  { flags, size, digits, left }: { flags: string; size: number; digits: number | undefined; left: boolean },
): string {
  const align = left ? '<' : '>';
  if ('sra'.includes(type)) {
    const whole = type === 's' ? toText(value) : type === 'r' ? repr(value) : ascii(value);
    return pad(digits === undefined ? whole : sliceOf(whole, 0, digits), size, ' ', align);
  }
  if (type === 'c') {
    const text = asText(value);
    if (text !== undefined && lengthOf(text) === 1) return pad(text, size, ' ', align);
    const code = asNumber(value);
    if (typeof code !== 'bigint') throw typeError('%c requires int or char');
    if (code < 0n || code > 0x10ffffn) throw new TemplateRuntimeError('OverflowError', '%c arg not in range(0x110000)');
    return pad(String.fromCodePoint(Number(code)), size, ' ', align);
  }
  const number = asNumber(value);
  if (number === undefined) {
    throw typeError(
      'diu'.includes(type)
        ? `%${type} format: a real number is required, not ${typeName(value)}`
        : 'must be real number, not '.concat(typeName(value)),
    );
  }
  let body: string;
  let prefix = '';
  if ('diuxXo'.includes(type)) {
    if (typeof number === 'number' && 'xXo'.includes(type)) {
      throw typeError(`%${type} format: an integer is required, not float`);
    }
    const whole = typeof number === 'number' ? truncate(number) : number;
    const magnitude = whole < 0n ? -whole : whole;
    body = 'diu'.includes(type) ? intText(magnitude) : magnitude.toString(type === 'o' ? 8 : 16);
    if (digits !== undefined) body = pad(body, digits, '0', '>');
    if (flags.includes('#') && !'diu'.includes(type)) prefix = type === 'o' ? '0o' : '0x';
    prefix = (whole < 0n ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '') + prefix;
    if (type === 'X') {
      body = body.toUpperCase();
      prefix = prefix.toUpperCase();
    }
  } else if ('eEfFgG'.includes(type)) {
    const float = toFloat(number);
    body = floatDigits(float, type.toLowerCase(), digits ?? 6, flags.includes('#'));
    if (type !== type.toLowerCase()) body = body.toUpperCase();
    prefix = isNegative(float) ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  } else throw valueError(`unsupported format character '${type}'`);
  if (flags.includes('0') && !left && /^[0-9a-fA-F]/.test(body) && body.toLowerCase() !== 'inf') {
    return prefix + pad(body, size - prefix.length, '0', '>');
  }
  return pad(prefix + body, size, ' ', align);
}

/** How a replacement field reaches into a value: an attribute, or an item. */
export interface FieldAccess {
  attribute(object: Value, name: string): Value;
  item(object: Value, key: Value): Value;
}

/** `text.format(*positional, **keywords)` */
export function formatBraces(
  text: string,
  positional: readonly Value[],
  keywords: Keywords | Dict,
  access: FieldAccess,
): string {
  let automatic = 0;
  const lookUp = (name: string): Value => {
    if (name === '' || /^\d+$/.test(name)) {
      if ((name === '') !== automatic >= 0 && automatic !== 0) {
        throw valueError('cannot switch between automatic field numbering and manual field specification');
      }
      const index = name === '' ? automatic++ : Number(name);
      if (name !== '') automatic = -1;
      const value = positional[index];
      if (value === undefined) {
        throw new TemplateRuntimeError(
          'IndexError',
          `Replacement index ${index} out of range for positional args tuple`,
        );
      }
      return value;
    }
    const value = keywords.get(name);
    if (value === undefined) throw new TemplateRuntimeError('KeyError', repr(name));
    return value;
  };
  return expand(text, 2);

  function expand(source: string, depth: number): string {
    if (depth < 0) throw valueError('Max string recursion exceeded');
    let result = '';
    let i = 0;
    while (i < source.length) {
      const character = source[i]!;
      if (character !== '{' && character !== '}') {
        result += character;
        i++;
      } else if (source[i + 1] === character) {
        result += character;
        i += 2;
      } else if (character === '}') {
        throw valueError("Single '}' encountered in format string");
      } else {
        let open = 1;
        let end = i + 1;
        for (; end < source.length && open > 0; end++) {
          if (source[end] === '{') open++;
          else if (source[end] === '}') open--;
        }
        if (open > 0) {
          throw valueError(
            i + 1 === source.length ? "Single '{' encountered in format string" : "expected '}' before end of string",
          );
        }
        result += field(source.slice(i + 1, end - 1), depth);
        i = end;
      }
      checkLength(result.length);
    }
    return result;
  }

  function field(source: string, depth: number): string {
    const match = /^((?:[^[\]!:]|\[[^\]]*\])*)(?:!(.))?(?::([\s\S]*))?$/.exec(source);
    if (match === null) throw valueError(`cannot read the replacement field "${source}"`);
    const [, path = '', conversion, specification = ''] = match;
    const first = /^[^.[]*/.exec(path)![0];
    let value = lookUp(first);
    let rest = path.slice(first.length);
    while (rest !== '') {
      const step = /^(?:\.([^.[]+)|\[([^\]]+)\])/.exec(rest);
      if (step === null) throw valueError('Empty attribute in format string');
      if (step[1] !== undefined) value = access.attribute(value, step[1]);
      else value = access.item(value, /^\d+$/.test(step[2]!) ? BigInt(step[2]!) : step[2]!);
      rest = rest.slice(step[0].length);
    }
    if (conversion === 's') value = toText(value);
    else if (conversion === 'r') value = repr(value);
    else if (conversion === 'a') value = ascii(value);
    else if (conversion !== undefined) throw valueError(`Unknown conversion specifier ${conversion}`);
    return formatValue(value, specification.includes('{') ? expand(specification, depth - 1) : specification);
  }
}

/** Python's `format(value, specification)`. */
function formatValue(value: Value, specification: string): string {
  if (specification === '') return toText(value);
  const match = /^(?:([\s\S])?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u.exec(
    specification,
  );
  if (match === null) throw valueError(`Invalid format specifier '${specification}'`);
  const [, fillGiven, alignGiven, sign, negativeZero, hash, zero, widthGiven, grouping, precisionGiven, type] = match;
  if (negativeZero) throw unsupported('the "z" option of .format');
  const width = Number(widthGiven ?? 0);
  const precision = precisionGiven === undefined ? undefined : Number(precisionGiven);
  const text = asText(value);
  const number = asNumber(value);
  if (text !== undefined) {
    if (type !== undefined && type !== 's') throw valueError(`Unknown format code '${type}' for object of type 'str'`);
    if (sign || hash || grouping || alignGiven === '=') {
      throw valueError(`'${specification}' is not allowed in string format specifier`);
    }
    const cut = precision === undefined ? text : sliceOf(text, 0, precision);
    return pad(cut, width, fillGiven ?? (zero ? '0' : ' '), alignGiven ?? '<');
  }
  if (number === undefined) {
    throw typeError(`unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const isWhole = typeof number === 'bigint' && (type === undefined || 'bcdoxXn'.includes(type));
  if (type !== undefined && !isWhole && !'eEfFgGn%'.includes(type)) {
    throw valueError(`Unknown format code '${type}' for object of type '${typeName(value)}'`);
  }
  if (type === 'n') throw unsupported('the "n" type of .format');
  let body: string;
  let prefix = '';
  if (isWhole) {
    if (precision !== undefined) throw valueError('Precision not allowed in integer format specifier');
    const magnitude = number < 0n ? -number : number;
    if (type === 'c') {
      if (number < 0n || number > 0x10ffffn) {
        throw new TemplateRuntimeError('OverflowError', '%c arg not in range(0x110000)');
      }
      body = String.fromCodePoint(Number(number));
    } else if (type === undefined || type === 'd') body = intText(magnitude);
    else {
      body = magnitude.toString({ b: 2, o: 8 }[type] ?? 16);
      if (hash) prefix = `0${type}`;
      if (type === 'X') body = body.toUpperCase();
    }
  } else {
    const float = toFloat(number) * (type === '%' ? 100 : 1);
    const kind = type?.toLowerCase();
    if (kind === undefined) {
      body =
        precision === undefined ? floatText(Math.abs(float)) : withPoint(floatDigits(float, 'g', precision, !!hash));
    } else body = floatDigits(float, kind === '%' ? 'f' : kind, precision ?? 6, !!hash);
    if (type === '%') body += '%';
    if (type !== undefined && 'EFG'.includes(type)) body = body.toUpperCase();
  }
  const signText = isNegative(number) ? '-' : sign === '+' ? '+' : sign === ' ' ? ' ' : '';
  const fill = fillGiven ?? (zero ? '0' : ' ');
  const align = alignGiven ?? (zero ? '=' : '>');
  if (grouping) {
    const every = type !== undefined && 'boxX'.includes(type) ? 4 : 3;
    const room = align === '=' && fill === '0' ? width - signText.length - prefix.length : 0;
    body = group(body, grouping, every, room);
  }
  if (align === '=') return signText + prefix + pad(body, width - signText.length - prefix.length, fill, '>');
  return pad(signText + prefix + body, width, fill, align);
}

/** A float without a type keeps one digit after the point. */
function withPoint(text: string): string {
  return /^\d+$/.test(text) ? `${text}.0` : text;
}

/** Puts separators between groups of digits, filling up with zeros to the room. */
function group(body: string, separator: string, every: number, room: number): string {
  const [, whole = '', rest = ''] = /^([0-9a-fA-F]*)([\s\S]*)$/.exec(every === 3 ? body.replace(/e/i, '\0') : body)!;
  let digits = whole;
  const grouped = () => digits.replace(new RegExp(`\\B(?=(?:[0-9a-fA-F]{${every}})+$)`, 'g'), separator);
  while (grouped().length + rest.length < room) digits = `0${digits}`;
  const tail = every === 3 ? rest.replace('\0', body.includes('E') ? 'E' : 'e') : rest;
  // A zero that would begin with the separator stays away, as in Python.
  return grouped() + tail;
}
