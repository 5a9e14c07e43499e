/**
 * One row of a data file, and its fields read with errors that name file, line and field.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

/** A parsed row and where it stands. */
export interface Row {
  value: Record<string, unknown>;
  /** `file:line`, or `file (row 3)` where a file has no lines. */
  source: string;
}

/** A row, without the fields that are `null`: writers of tables put it where there is nothing. */
export function makeRow(value: Record<string, unknown>, source: string): Row {
  return { value: Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null)), source };
}

/** An error about a row. */
export function rowError(row: { source: string }, what: string): SubzeroError {
  return new SubzeroError('invalid_data', `${row.source}: ${what}`, { parameter: row.source });
}

/** A value as it may stand in an error text: JSON, shortened. */
export function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field that must be a string. */
export function stringField(row: Row, name: string): string {
  const value = row.value[name];
  if (typeof value !== 'string') throw rowError(row, `expected a string in "${name}"; got ${show(value)}`);
  return value;
}

/** A field that must be a string with more than white space in it. */
export function textField(row: Row, name: string): string {
  const value = stringField(row, name);
  if (value.trim() === '') throw rowError(row, `"${name}" is empty`);
  return value;
}

/** A field that must be an object; the result is a row of its own with the same place. */
export function recordField(row: Row, name: string): Row {
  const value = row.value[name];
  if (!isRecord(value)) throw rowError(row, `expected an object in "${name}"; got ${show(value)}`);
  return makeRow(value, row.source);
}

/** A list as such, or as the JSON text that a table of text has instead. */
export function parsedList(value: unknown): unknown {
  if (typeof value !== 'string' || !value.trimStart().startsWith('[')) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** A field that must be a list of objects; each as a row of its own with the same place. */
export function recordsField(row: Row, name: string): Row[] {
  const value = parsedList(row.value[name]);
  if (!Array.isArray(value)) throw rowError(row, `expected a list in "${name}"; got ${show(value)}`);
  return value.map((each) => {
    if (!isRecord(each)) throw rowError(row, `expected objects in "${name}"; got ${show(each)}`);
    return makeRow(each, row.source);
  });
}

/** The label of a task's row, by a table from what the file holds to the option's index. */
export function labelField(row: Row, table: Readonly<Record<string, number>>, name = 'label'): number {
  const value = row.value[name];
  const isName = ['string', 'number', 'boolean'].includes(typeof value) && Object.hasOwn(table, String(value));
  const label = isName ? table[String(value)] : undefined;
  if (label !== undefined) return label;
  const expected = Object.keys(table).join(', ');
  throw rowError(
    row,
    value === undefined
      ? `no "${name}" (expected one of ${expected}); a test file without labels cannot be used`
      : `"${name}" must be one of ${expected}; got ${show(value)}`,
  );
}
