/**
 * Texts with places for the columns of a row: `{premise} So is "{hypothesis}" true?`.
 *
 * A place is a column's name, or several with dots between them for a column within an object. `?` behind it allows
 * nothing or an empty text there, `|trim` drops white space around it. Doubled braces stand for themselves.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { parameter, words } from '../words.ts';
import { type Row, recordField, rowError, show, textField } from './row.ts';

interface Place {
  path: readonly string[];
  optional: boolean;
  trim: boolean;
}

export interface TextTemplate {
  /** The columns of a row that it reads. */
  columns: readonly string[];
  /** @throws SubzeroError `invalid_data` with the row's place where a column is missing, empty or no text or number */
  render(row: Row): string;
}

/**
 * @param setting what the template was given as, for errors
 * @throws SubzeroError `invalid_argument` for braces without a partner and places that cannot be understood
 */
export function parseTextTemplate(text: string, setting = 'template'): TextTemplate {
  const parts: (string | Place)[] = [];
  const refuse = (what: string): SubzeroError =>
    new SubzeroError('invalid_argument', words`${parameter(setting)} ${what}; got ${JSON.stringify(text)}`, {
      parameter: setting,
    });
  for (const [part] of text.matchAll(/\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+/g)) {
    if (part === '{{' || part === '}}') parts.push(part.charAt(0));
    else if (part === '{' || part === '}') throw refuse(`has a single "${part}"; write it twice to mean itself`);
    else if (part.startsWith('{')) {
      const match = /^\{\s*([^\s?|][^?|]*?)\s*(\?)?\s*(?:\|\s*(trim))?\s*\}$/.exec(part);
      if (!match) throw refuse(`has a place ${part}; expected {column}, {column?} or {column|trim}`);
      parts.push({ path: match[1]!.split('.'), optional: match[2] !== undefined, trim: match[3] !== undefined });
    } else parts.push(part);
  }
  const places = parts.filter((part): part is Place => typeof part !== 'string');
  if (places.length === 0) throw refuse('has no place for a column, such as {text}');
  return {
    columns: [...new Set(places.map(({ path }) => path[0]!))],
    render: (row) => parts.map((part) => (typeof part === 'string' ? part : textAt(row, part))).join(''),
  };
}

function textAt(row: Row, { path, optional, trim }: Place): string {
  // A column may have dots in its name.
  const whole = path.join('.');
  let [holder, name] = [row, whole];
  if (path.length > 1 && !(whole in row.value)) {
    for (const part of path.slice(0, -1)) holder = recordField(holder, part);
    name = path.at(-1)!;
  }
  const value = holder.value[name];
  if (optional && (value === undefined || value === '')) return '';
  if (value === undefined) throw missingColumn(holder, name);
  const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : textField(holder, name);
  return trim ? text.trim() : text;
}

/**
 * The error of a row that lacks a column, with those that it has.
 * @param purpose what the column would be for, behind its name
 * @param field the field of a format that another column may be
 */
export function missingColumn(row: Row, column: string, purpose = '', field?: string): SubzeroError {
  const advice = field === undefined ? '' : `; say which of them it is (columns: ${field}=NAME)`;
  return rowError(row, `no column "${column}"${purpose}; the row has ${show(Object.keys(row.value))}${advice}`);
}
