/**
 * Python's `json.dumps`, as the `tojson` filter of transformers calls it.
 *
 * @module
 */

import { typeError, valueError } from './errors.ts';
import { joinChecked } from './limits.ts';
import { floatText, intText } from './numbers.ts';
import { asText, compare, Dict, List, Tuple, typeName, type Value } from './values.ts';

export interface JsonOptions {
  ensureAscii: boolean;
  /** The text of one level of indentation; undefined writes one line. */
  indent: string | undefined;
  separators: readonly [string, string];
  sortKeys: boolean;
}

/** @throws TemplateRuntimeError for what JSON cannot hold, as an undefined value */
export function dumps(value: Value, options: JsonOptions): string {
  return write(value, options, '\n');
}

function write(value: Value, options: JsonOptions, newline: string): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'bigint') return intText(value);
  if (typeof value === 'number') return floatJson(value);
  const text = asText(value);
  if (text !== undefined) return quote(text, options.ensureAscii);
  const inner = options.indent === undefined ? newline : newline + options.indent;
  const enclose = (open: string, parts: string[], close: string) => {
    if (parts.length === 0) return open + close;
    const body = joinChecked(parts, options.separators[0] + (options.indent === undefined ? '' : inner));
    return options.indent === undefined ? open + body + close : open + inner + body + newline + close;
  };
  if (value instanceof List || value instanceof Tuple) {
    return enclose(
      '[',
      value.items.map((item) => write(item, options, inner)),
      ']',
    );
  }
  if (value instanceof Dict) {
    const entries = value.entries();
    if (options.sortKeys) entries.sort(([a], [b]) => (compare('<', a, b) ? -1 : compare('<', b, a) ? 1 : 0));
    const parts = entries.map(
      ([key, item]) => quote(keyText(key), options.ensureAscii) + options.separators[1] + write(item, options, inner),
    );
    return enclose('{', parts, '}');
  }
  throw typeError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function floatJson(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  return floatText(value);
}

function keyText(key: Value): string {
  const text = asText(key);
  if (text !== undefined) return text;
  if (key === null) return 'null';
  if (typeof key === 'boolean') return key ? 'true' : 'false';
  if (typeof key === 'bigint') return intText(key);
  if (typeof key === 'number') return floatJson(key);
  throw typeError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
};

function quote(text: string, ensureAscii: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON escapes control characters.
  const escaped = ensureAscii ? /["\\]|[^ -~]/g : /["\\\u0000-\u001f]/g;
  const hex = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `"${text.replace(escaped, (unit) => shortEscapes[unit] ?? hex(unit))}"`;
}

/** The level of indentation that Python's `indent` argument names. */
export function indentOf(indent: Value): string | undefined {
  if (indent === null) return undefined;
  const text = asText(indent);
  if (text !== undefined) return text;
  if (typeof indent === 'boolean') return ' '.repeat(Number(indent));
  if (typeof indent !== 'bigint') throw typeError(`indent must be a whole number or a text, not ${typeName(indent)}`);
  if (indent > 1000n) throw valueError('an indentation of more than 1000 is too large');
  return ' '.repeat(indent > 0n ? Number(indent) : 0);
}
