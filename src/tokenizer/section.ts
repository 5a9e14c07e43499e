/**
 * Reading a section of tokenizer.json as a whitelist: each field has a type and a default, and a field that nobody
 * reads is an error, because what it would change is not known.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isRecord } from './files.ts';

/** One JSON object of a file, with its place for error texts. */
export class Section {
  /** As `pre_tokenizer.pretokenizers[1]`; empty for the whole file. */
  readonly path: string;
  readonly #file: string;
  readonly #fields: Record<string, unknown>;
  readonly #read = new Set<string>();

  constructor(value: unknown, path: string, file: string) {
    this.path = path;
    this.#file = file;
    if (!isRecord(value)) throw this.error('invalid_data', `expected an object; got ${brief(value)}`);
    this.#fields = value;
  }

  /** The `type` field, which says which other fields there are. */
  get type(): string {
    return this.text('type');
  }

  /** A field as it stands in the file; `undefined` if absent. */
  raw(name: string): unknown {
    this.#read.add(name);
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }

  text(name: string, whenAbsent?: string): string {
    const value = this.raw(name) ?? whenAbsent;
    if (typeof value !== 'string') throw this.wrong(name, 'a text', value);
    return value;
  }

  /** A text, or `undefined` for `null` and an absent field. */
  optionalText(name: string): string | undefined {
    const value = this.raw(name) ?? undefined;
    if (value !== undefined && typeof value !== 'string') throw this.wrong(name, 'a text or null', value);
    return value;
  }

  /** A text of exactly one character. */
  character(name: string, whenAbsent?: string): string {
    const value = this.text(name, whenAbsent);
    if ([...value].length !== 1) throw this.wrong(name, 'one character', value);
    return value;
  }

  choice<T extends string>(name: string, choices: readonly T[], whenAbsent?: T): T {
    const value = this.raw(name) ?? whenAbsent;
    if (!choices.includes(value as T)) throw this.wrong(name, `one of ${choices.join(', ')}`, value);
    return value as T;
  }

  flag(name: string, whenAbsent?: boolean): boolean {
    const value = this.raw(name) ?? whenAbsent;
    if (typeof value !== 'boolean') throw this.wrong(name, 'true or false', value);
    return value;
  }

  count(name: string, whenAbsent?: number): number {
    const value = this.raw(name) ?? whenAbsent;
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw this.wrong(name, 'a whole number from 0', value);
    return value as number;
  }

  list(name: string): unknown[] {
    const value = this.raw(name);
    if (!Array.isArray(value)) throw this.wrong(name, 'a list', value);
    return value;
  }

  /** An object inside this one. */
  section(name: string): Section {
    return new Section(this.raw(name), this.#pathOf(name), this.#file);
  }

  sections(name: string): Section[] {
    return this.list(name).map((each, index) => new Section(each, `${this.#pathOf(name)}[${index}]`, this.#file));
  }

  #pathOf(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  /** Marks fields that change no id and no text. */
  ignore(...names: string[]): void {
    for (const name of names) this.#read.add(name);
  }

  /** Ends the reading: a field that is left is not known. */
  done(): void {
    for (const [name, value] of Object.entries(this.#fields)) {
      if (this.#read.has(name) || value === null || value === false) continue;
      throw this.error(
        'unsupported',
        `the field "${name}" is not known (${brief(value)}); known are ${[...this.#read].join(', ')}`,
      );
    }
  }

  /** An error that names the file, this section, the field, what was expected and what came. */
  wrong(name: string, expected: string, value: unknown): SubzeroError {
    const code = value === undefined ? 'is missing; expected' : `is ${brief(value)}; expected`;
    return this.error('invalid_data', `"${name}" ${code} ${expected}`);
  }

  error(code: 'invalid_data' | 'unsupported', what: string, cause?: unknown): SubzeroError {
    return new SubzeroError(code, `${this.#file}: ${this.path === '' ? '' : `${this.path}: `}${what}`, {
      parameter: this.#file,
      cause,
    });
  }

  /** The error for a `type` that is not one of these. */
  unknownType(supported: readonly string[]): SubzeroError {
    return this.error(
      'unsupported',
      `type ${brief(this.raw('type'))} is not supported; supported are ${supported.join(', ')}`,
    );
  }
}

/** A value in an error text: not a whole vocabulary. */
export function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
