/**
 * Python's numbers: whole ones of any size are `bigint`, floats are `number`, booleans count as 0 and 1.
 *
 * @module
 */

import { TemplateRuntimeError, valueError } from './errors.ts';
import { checkBits } from './limits.ts';

/** A float as Python writes it: the shortest digits that give it back, with an exponent below 1e-4 and from 1e16. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa = '', power = ''] = Math.abs(value).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const exponent = Number(power);
  const sign = value < 0 ? '-' : '';
  if (exponent < -4 || exponent >= 16) return sign + exponential(digits, exponent);
  return sign + positional(digits, exponent);
}

function exponential(digits: string, exponent: number): string {
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
  return `${digits[0]}${fraction}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

function positional(digits: string, exponent: number): string {
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${whole}.${digits.slice(exponent + 1) || '0'}`;
}

/** A whole number in digits. Python refuses those of more than 4,300 digits. */
export function intText(value: bigint): string {
  const text = value.toString();
  if (text.length > 4301) throw valueError('Exceeds the limit (4300 digits) for integer string conversion');
  return text;
}

/** The exact value of a finite float as numerator and power of two: `mantissa * 2 ** exponent`. */
function decompose(value: number): { mantissa: bigint; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const biased = Number(bits >> 52n);
  const fraction = bits & 0xfffffffffffffn;
  return biased === 0
    ? { mantissa: fraction, exponent: -1074 }
    : { mantissa: fraction | 0x10000000000000n, exponent: biased - 1075 };
}

/** `|value| * 10 ** digits`, rounded to a whole number, ties to even, from the exact value. */
function scaledExactly(value: number, digits: number): bigint {
  const { mantissa, exponent } = decompose(value);
  let numerator = mantissa;
  let denominator = 1n;
  if (exponent >= 0) numerator <<= BigInt(exponent);
  else denominator <<= BigInt(-exponent);
  if (digits >= 0) numerator *= 10n ** BigInt(digits);
  else denominator *= 10n ** BigInt(-digits);
  return divideToEven(numerator, denominator);
}

/** Division of numbers from 0, rounded to the nearest, ties to even. */
function divideToEven(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  return twice > denominator || (twice === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** `|value|` with this many digits after the point, as `%.3f` writes it. */
export function fixedText(value: number, digits: number): string {
  const text = scaledExactly(value, digits)
    .toString()
    .padStart(digits + 1, '0');
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** The digits and the exponent of `|value|` rounded to this many significant digits. */
function significant(value: number, count: number): { digits: string; exponent: number } {
  if (value === 0) return { digits: '0'.repeat(count), exponent: 0 };
  let exponent = Number(Math.abs(value).toExponential(17).split('e')[1]);
  let digits = scaledExactly(value, count - 1 - exponent).toString();
  if (digits.length > count) {
    exponent += digits.length - count;
    digits = scaledExactly(value, count - 1 - exponent).toString();
  }
  return { digits, exponent };
}

/** `|value|` as `%.3e` writes it. */
export function exponentText(value: number, precision: number): string {
  const { digits, exponent } = significant(value, precision + 1);
  return exponential(digits, exponent);
}

/** `|value|` as `%.3g` writes it; `minimum` is the fewest digits that stay after the point. */
export function generalText(value: number, precision: number, alternate: boolean): string {
  const count = Math.max(1, precision);
  const { digits, exponent } = significant(value, count);
  const kept = alternate ? digits : digits.replace(/0+$/, '') || '0';
  if (exponent < -4 || exponent >= count) return exponential(kept, exponent);
  const text = positional(kept, exponent);
  return alternate ? text : text.replace(/\.0$/, '');
}

/** Python's `round`. */
export function roundNumber(value: bigint | number, digits: number): bigint | number {
  if (typeof value === 'bigint') {
    if (digits >= 0) return value;
    if (digits < -5000) return 0n;
    const unit = 10n ** BigInt(-digits);
    const size = value < 0n ? -value : value;
    const rounded = divideToEven(size, unit) * unit;
    return value < 0n ? -rounded : rounded;
  }
  if (!Number.isFinite(value) || digits > 330) return value;
  if (digits < -330) return value < 0 ? -0 : 0;
  const size = Number(`${scaledExactly(value, digits)}e${-digits}`);
  return value < 0 || Object.is(value, -0) ? -size : size;
}

/** A float cut to a whole number. */
export function truncate(value: number): bigint {
  if (Number.isNaN(value)) throw valueError('cannot convert float NaN to integer');
  if (!Number.isFinite(value)) {
    throw new TemplateRuntimeError('OverflowError', 'cannot convert float infinity to integer');
  }
  return BigInt(Math.trunc(value));
}

/** Python's `int(text, base)`; undefined if the text is not a whole number. */
export function parseInteger(text: string, base = 10): bigint | undefined {
  const match = /^([+-]?)(0[xX]|0[oO]|0[bB])?_?([0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)$/.exec(text.trim());
  if (match === null) return undefined;
  const prefix = match[2]?.toLowerCase();
  let digits = match[3]!.replaceAll('_', '').toLowerCase();
  const named = prefix === undefined ? undefined : { '0x': 16, '0o': 8, '0b': 2 }[prefix];
  let radix = base;
  if (named !== undefined) {
    if (base === 0 || base === named) radix = named;
    else digits = prefix! + digits;
  } else if (text.trim().replace(/^[+-]/, '').startsWith('_')) return undefined;
  else if (base === 0) {
    radix = 10;
    if (/^0+[1-9]/.test(digits)) return undefined;
  }
  if (digits.length > 4300) return undefined;
  let result = 0n;
  for (const digit of digits) {
    const value = Number.parseInt(digit, 36);
    if (!(value < radix)) return undefined;
    result = result * BigInt(radix) + BigInt(value);
  }
  return match[1] === '-' ? -result : result;
}

/** Python's `float(text)`; undefined if the text is not a number. */
export function parseFloatText(text: string): number | undefined {
  const trimmed = text.trim();
  const named = /^([+-]?)(inf|infinity|nan)$/i.exec(trimmed);
  if (named !== null) {
    const size = named[2]!.toLowerCase() === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY;
    return named[1] === '-' ? -size : size;
  }
  const digits = '\\d+(?:_\\d+)*';
  const shape = new RegExp(`^[+-]?(?:${digits}\\.?(?:${digits})?|\\.${digits})(?:[eE][+-]?${digits})?$`);
  return shape.test(trimmed) ? Number(trimmed.replaceAll('_', '')) : undefined;
}

const zeroDivision = (what: string) => new TemplateRuntimeError('ZeroDivisionError', what);

/** Arithmetic of two numbers; a float on either side makes a float. */
export function arithmetic(operator: string, a: bigint | number, b: bigint | number): bigint | number {
  if (typeof a === 'bigint' && typeof b === 'bigint') return wholeArithmetic(operator, a, b);
  const x = toFloat(a);
  const y = toFloat(b);
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      if (y === 0) throw zeroDivision('float division by zero');
      return x / y;
    case '//': {
      if (y === 0) throw zeroDivision('float floor division by zero');
      const quotient = (x - floatModulo(x, y)) / y;
      const floor = Math.floor(quotient);
      return quotient - floor > 0.5 ? floor + 1 : floor;
    }
    case '%':
      if (y === 0) throw zeroDivision('float modulo');
      return floatModulo(x, y);
    default:
      return floatPower(x, y);
  }
}

function wholeArithmetic(operator: string, a: bigint, b: bigint): bigint | number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      checkBits(bitsOf(a) + bitsOf(b));
      return a * b;
    case '/':
      if (b === 0n) throw zeroDivision('division by zero');
      return divideWhole(a, b);
    case '//': {
      if (b === 0n) throw zeroDivision('integer division or modulo by zero');
      const quotient = a / b;
      return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
    }
    case '%': {
      if (b === 0n) throw zeroDivision('integer modulo by zero');
      const rest = a % b;
      return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
    }
    default:
      if (b < 0n) {
        if (a === 0n) throw zeroDivision('0.0 cannot be raised to a negative power');
        return floatPower(toFloat(a), toFloat(b));
      }
      if (a !== 0n && a !== 1n && a !== -1n) checkBits(bitsOf(a) * Number(b));
      return a ** b;
  }
}

function bitsOf(value: bigint): number {
  return value.toString(16).length * 4;
}

/** The nearest float of a quotient, also where the whole numbers are larger than floats can hold exactly. */
function divideWhole(a: bigint, b: bigint): number {
  const x = Number(a);
  const y = Number(b);
  if (Number.isSafeInteger(x) && Number.isSafeInteger(y)) return x / y;
  const negative = a < 0n !== b < 0n;
  const numerator = a < 0n ? -a : a;
  const denominator = b < 0n ? -b : b;
  const shift = Math.max(0, 66 - (bitsOf(numerator) - bitsOf(denominator)));
  const scaled = numerator << BigInt(shift);
  const quotient = scaled / denominator;
  // The lowest bit says that something was left, so that a tie is told from a bit more than a tie.
  const sticky = scaled % denominator === 0n ? quotient : quotient | 1n;
  const size = Number(sticky) / 2 ** shift;
  if (!Number.isFinite(size)) {
    throw new TemplateRuntimeError('OverflowError', 'integer division result too large for a float');
  }
  return negative ? -size : size;
}

function floatModulo(x: number, y: number): number {
  const rest = x % y;
  if (rest !== 0) return rest < 0 !== y < 0 ? rest + y : rest;
  return y < 0 ? -0 : 0;
}

function floatPower(x: number, y: number): number {
  if (x === 0 && y < 0) throw zeroDivision('0.0 cannot be raised to a negative power');
  if (x < 0 && Number.isFinite(x) && Number.isFinite(y) && !Number.isInteger(y)) {
    throw new TemplateRuntimeError('Unsupported', 'complex numbers are not supported in chat templates here');
  }
  if (x === 1 || y === 0) return 1;
  const result = x ** y;
  if (!Number.isFinite(result) && Number.isFinite(x) && Number.isFinite(y)) {
    throw new TemplateRuntimeError('OverflowError', 'Numerical result out of range');
  }
  return result;
}

export function toFloat(value: bigint | number): number {
  if (typeof value === 'number') return value;
  const result = Number(value);
  if (!Number.isFinite(result)) {
    throw new TemplateRuntimeError('OverflowError', 'int too large to convert to float');
  }
  return result;
}
