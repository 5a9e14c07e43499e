/**
 * Reading `quantization_config` of a config.json: every key is read, or known to say nothing about the values of
 * weights, or refused by its name.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

type Json = Readonly<Record<string, unknown>>;

/** The keys of one object. */
export class Fields {
  readonly #object: Json;
  readonly #where: string;
  readonly #read = new Set<string>();

  /** @param where the file and the path of the object in it */
  constructor(object: unknown, where: string) {
    this.#where = where;
    if (typeof object !== 'object' || object === null || Array.isArray(object)) {
      throw new SubzeroError('invalid_data', `${where}: expected an object, got ${brief(object)}`);
    }
    this.#object = object as Json;
  }

  /** Whether the key is there, be it with null. */
  has(name: string): boolean {
    return Object.hasOwn(this.#object, name);
  }

  /** A value, or undefined where it is absent or null. */
  value(name: string): unknown {
    this.#read.add(name);
    return Object.hasOwn(this.#object, name) ? (this.#object[name] ?? undefined) : undefined;
  }

  /** One of some values, the first of which stands for an absent one. */
  choice<const T>(name: string, ...choices: readonly [T, ...(readonly T[])]): T {
    const value = this.value(name) ?? choices[0];
    const found = choices.find((choice) => choice === value);
    if (found === undefined) {
      throw this.error('unsupported', name, `must be ${choices.map((choice) => brief(choice)).join(' or ')}`, value);
    }
    return found;
  }

  /** A whole number ≥ 1, or −1 for all elements of a row, or undefined. */
  groupSize(name: string): number | undefined {
    const value = this.value(name);
    if (value === undefined || value === -1 || (Number.isSafeInteger(value) && (value as number) > 0)) {
      return value as number | undefined;
    }
    throw this.error('invalid_data', name, 'must be a whole number from 1 on, or -1', value);
  }

  /** Two whole numbers ≥ 1, or undefined. */
  blockSize(name: string): [rows: number, columns: number] | undefined {
    const value = this.value(name);
    const isSize = (side: unknown): boolean => Number.isSafeInteger(side) && (side as number) > 0;
    if (value === undefined || (Array.isArray(value) && value.length === 2 && value.every(isSize))) {
      return value as [number, number] | undefined;
    }
    throw this.error('invalid_data', name, 'must be two whole numbers from 1 on', value);
  }

  flag(name: string, byDefault: boolean): boolean {
    const value = this.value(name) ?? byDefault;
    if (typeof value === 'boolean') return value;
    throw this.error('invalid_data', name, 'must be true or false', value);
  }

  /** A list of texts, empty where absent. */
  texts(name: string): readonly string[] {
    const value = this.value(name) ?? [];
    if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
    throw this.error('invalid_data', name, 'must be a list of texts', value);
  }

  /** An object below this one; undefined where absent. */
  object(name: string): Fields | undefined {
    const value = this.value(name);
    return value === undefined ? undefined : new Fields(value, `${this.#where}.${name}`);
  }

  /** The objects below this one by name. */
  get entries(): [name: string, fields: Fields][] {
    return Object.keys(this.#object).map((name) => [name, this.object(name)!]);
  }

  /**
   * Refuses what was not read.
   * @param silent keys that say nothing about the values of weights
   */
  finish(...silent: readonly string[]): void {
    for (const [name, value] of Object.entries(this.#object)) {
      if (this.#read.has(name) || silent.includes(name) || isNothing(value)) continue;
      throw this.error('unsupported', name, 'is not known here and must be absent', value);
    }
  }

  error(code: 'invalid_data' | 'unsupported', name: string, rule: string, value: unknown): SubzeroError {
    return new SubzeroError(code, `${this.#where}: "${name}" ${rule}; got ${brief(value)}`);
  }
}

/** Null, false, or without content. */
function isNothing(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === null || value === false || value === '';
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
