/**
 * A template's text as tokens, with the blanks around tags taken off as Jinja does with `trim_blocks` and
 * `lstrip_blocks`: the line break after a block's tag, and the blanks before one that stands first in its line.
 *
 * @module
 */

import { space, strip } from './characters.ts';
import { TemplateSyntaxError } from './errors.ts';

export type TokenType =
  | 'text'
  | 'blockBegin'
  | 'blockEnd'
  | 'outputBegin'
  | 'outputEnd'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'operator'
  | 'end';

export interface Token {
  type: TokenType;
  /** The operator, the name, or the text with its escapes undone. */
  value: string;
  number?: bigint | number;
  line: number;
}

const rawBegin = new RegExp(`\\{%([-+]?)${space}*raw${space}*(?:-%\\}${space}*|%\\})`, 'y');
const rawEnd = new RegExp(`\\{%([-+]?)${space}*endraw${space}*(?:\\+%\\}|-%\\}${space}*|%\\}\\n?)`, 'g');
const commentEnd = new RegExp(`\\+#\\}|-#\\}${space}*|#\\}\\n?`, 'g');
const blockEnd = new RegExp(`\\+%\\}|-%\\}${space}*|%\\}\\n?`, 'y');
const outputEnd = new RegExp(`-\\}\\}${space}*|\\}\\}`, 'y');
const blank = new RegExp(`${space}+`, 'y');
const onlyBlank = new RegExp(`^${space}+$`);
const digits = '\\d+(?:_\\d+)*';
const floatPattern = new RegExp(`(?<!\\.)${digits}(?:(?:\\.${digits})?[eE][+-]?${digits}|\\.${digits})`, 'y');
const integerPattern = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const namePattern = /[\p{L}\p{N}\p{M}\p{Pc}]+/uy;
const identifier = /^[\p{XID_Start}_]\p{XID_Continue}*$/u;
const stringPattern = /'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"/sy;
const operatorPattern = /\*\*|\/\/|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const resources: Readonly<Record<string, string>> = { '{': '}', '(': ')', '[': ']' };

/** @throws TemplateSyntaxError */
export function tokenize(template: string): Token[] {
  const source = template.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  const tokens: Token[] = [];
  let position = 0;
  let line = 1;
  /** Whether what was read last ended with a line break. */
  let lineStarting = true;

  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = position;
    return pattern.exec(source);
  };
  const advance = (end: number): string => {
    const taken = source.slice(position, end);
    line += taken.split('\n').length - 1;
    position = end;
    lineStarting = taken.endsWith('\n');
    return taken;
  };
  const text = (value: string) => {
    if (value !== '') tokens.push({ type: 'text', value, line });
  };
  /** The text before a tag, without the blanks that the tag takes off. */
  const before = (value: string, sign: string, isOutput: boolean): string => {
    if (sign === '-') return strip(value, undefined, 'right');
    if (sign === '+' || isOutput) return value;
    const start = value.lastIndexOf('\n') + 1;
    return (start > 0 || lineStarting) && onlyBlank.test(value.slice(start)) ? value.slice(0, start) : value;
  };

  while (position < source.length) {
    const tag = /\{[{%#]/g;
    tag.lastIndex = position;
    const found = tag.exec(source);
    if (found === null) {
      text(source.slice(position));
      break;
    }
    const data = source.slice(position, found.index);
    const opened = found[0];
    rawBegin.lastIndex = found.index;
    const raw = opened === '{%' ? rawBegin.exec(source) : null;
    const next = source[found.index + 2];
    const sign = raw ? raw[1]! : next === '-' || next === '+' ? next : '';
    text(before(data, sign, opened === '{{'));
    advance(raw ? rawBegin.lastIndex : found.index + 2 + sign.length);
    if (raw) readRaw();
    else if (opened === '{#') readComment();
    else readTag(opened === '{%' ? 'block' : 'output');
  }
  tokens.push({ type: 'end', value: '', line });
  return tokens;

  function readRaw(): void {
    const end = match(rawEnd);
    if (end === null) throw new TemplateSyntaxError('the raw block has no end', line);
    text(before(source.slice(position, end.index), end[1]!, false));
    advance(end.index + end[0].length);
  }

  function readComment(): void {
    const end = match(commentEnd);
    if (end === null) throw new TemplateSyntaxError('the comment has no end', line);
    advance(end.index + end[0].length);
  }

  function readTag(kind: 'block' | 'output'): void {
    tokens.push({ type: `${kind}Begin`, value: kind === 'block' ? '{%' : '{{', line });
    const open: string[] = [];
    const take = (type: TokenType, pattern: RegExp): Token | undefined => {
      const found = match(pattern);
      if (found === null) return undefined;
      const token: Token = { type, value: found[0], line };
      tokens.push(token);
      advance(position + found[0].length);
      return token;
    };
    while (true) {
      if (open.length === 0 && take(`${kind}End`, kind === 'block' ? blockEnd : outputEnd)) return;
      const gap = match(blank);
      if (gap !== null) {
        advance(position + gap[0].length);
        continue;
      }
      if (position >= source.length) {
        throw new TemplateSyntaxError(`the ${kind === 'block' ? '{% tag' : '{{ output'} has no end`, line);
      }
      let token = take('float', floatPattern);
      if (token) {
        token.number = Number(token.value.replaceAll('_', ''));
        continue;
      }
      token = take('integer', integerPattern);
      if (token) {
        token.number = BigInt(token.value.replaceAll('_', ''));
        continue;
      }
      token = take('name', namePattern);
      if (token) {
        if (!identifier.test(token.value)) throw new TemplateSyntaxError(`"${token.value}" is not a name`, token.line);
        continue;
      }
      token = take('string', stringPattern);
      if (token) {
        token.value = decodeString(token.value.slice(1, -1), token.line);
        continue;
      }
      token = take('operator', operatorPattern);
      if (token === undefined) {
        throw new TemplateSyntaxError(`unexpected character ${JSON.stringify(source[position])}`, line);
      }
      if (token.value in resources) open.push(resources[token.value]!);
      else if (')]}'.includes(token.value)) {
        const expected = open.pop();
        if (expected !== token.value) {
          const what = expected === undefined ? '' : `, expected "${expected}"`;
          throw new TemplateSyntaxError(`unexpected "${token.value}"${what}`, token.line);
        }
      }
    }
  }
}

const simpleEscapes: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** A Python string literal's escapes undone; those that Python does not know stay as they are. */
function decodeString(text: string, line: number): string {
  return text.replace(
    /\\([0-7]{1,3}|x[\da-fA-F]{0,2}|u[\da-fA-F]{0,4}|U[\da-fA-F]{0,8}|.)/gs,
    (whole, sequence: string) => {
      if (/^[0-7]/.test(sequence)) return String.fromCodePoint(Number.parseInt(sequence, 8));
      const size = { x: 2, u: 4, U: 8 }[sequence[0]!];
      if (size !== undefined) {
        const code = Number.parseInt(sequence.slice(1), 16);
        if (sequence.length !== size + 1 || code > 0x10ffff) {
          throw new TemplateSyntaxError(`the escape ${whole} is cut short or no character`, line);
        }
        return String.fromCodePoint(code);
      }
      if (sequence === 'N') throw new TemplateSyntaxError('characters by name (\\N{…}) are not supported', line);
      return simpleEscapes[sequence] ?? whole;
    },
  );
}
