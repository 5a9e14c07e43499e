/**
 * Fields of config.json: what a value must be, and what stands for one that is absent. Tables of them say what an
 * architecture reads.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

/** A parsed config.json. */
export type Config = Readonly<Record<string, unknown>>;

/** How one key is read. */
export interface Field<T> {
  /** What the value of an absent key is, as in the configuration class of transformers. */
  fallback: T;
  /** In words, for errors. */
  expected: string;
  accepts: (value: unknown) => boolean;
}

/** What a table of fields yields. */
export type Values<Fields> = { [Key in keyof Fields]: Fields[Key] extends Field<infer T> ? T : never };

/** A whole number. */
export function whole(fallback: number, least = 1): Field<number> {
  const accepts = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= least;
  return { fallback, expected: `a whole number of at least ${least}`, accepts };
}

/** A finite number above 0, or 0 too. */
export function real(fallback: number, options: { zero?: boolean } = {}): Field<number> {
  const accepts = (value: unknown): boolean =>
    typeof value === 'number' && Number.isFinite(value) && (value > 0 || (options.zero === true && value === 0));
  return { fallback, expected: options.zero ? 'a number of at least 0' : 'a positive number', accepts };
}

export function flag(fallback: boolean): Field<boolean> {
  return { fallback, expected: 'true or false', accepts: (value) => typeof value === 'boolean' };
}

export function text(fallback: string): Field<string> {
  return { fallback, expected: 'a text', accepts: (value) => typeof value === 'string' };
}

/** A list of texts, absent by default. */
export const texts: Field<string[] | null> = orNull({
  fallback: [],
  expected: 'a list of texts',
  accepts: (value) => Array.isArray(value) && value.every((entry) => typeof entry === 'string'),
});

/** A list of numbers, absent by default. */
export const numbers: Field<number[] | null> = orNull({
  fallback: [],
  expected: 'a list of numbers',
  accepts: (value) => Array.isArray(value) && value.every((entry) => typeof entry === 'number'),
});

/** An object, absent by default. */
export const object: Field<Config | null> = orNull({
  fallback: {},
  expected: 'an object',
  accepts: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
});

/** A field that may be null, which it is by default unless another value is given. */
export function orNull<T>(field: Field<T>, fallback: T | null = null): Field<T | null> {
  return { ...field, fallback, accepts: (value) => value === null || field.accepts(value) };
}

/** A value in a few words, for errors. */
export function brief(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/**
 * Reads the keys of a table.
 *
 * @throws SubzeroError `invalid_data` naming key, expected and given value
 */
export function readFields<Fields extends Readonly<Record<string, Field<unknown>>>>(
  config: Config,
  fields: Fields,
): Values<Fields> {
  const values: Record<string, unknown> = {};
  for (const [key, { fallback, expected, accepts }] of Object.entries(fields)) {
    const value = Object.hasOwn(config, key) ? config[key] : undefined;
    if (value !== undefined && !accepts(value)) {
      throw new SubzeroError('invalid_data', `"${key}" must be ${expected}; got ${brief(value)}`);
    }
    values[key] = value === undefined ? fallback : value;
  }
  return values as Values<Fields>;
}
