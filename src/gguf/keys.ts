/**
 * Reading the hyper-parameters of a GGUF file as a whitelist: a key of the architecture that nobody reads is an error,
 * because what it would change is not known.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type Metadata, type MetadataValue, quoteValue } from './header.ts';

/** Keys of every architecture that change no function, with why. */
const neutralKeys: Readonly<Record<string, string>> = {
  'rope.scaling.finetuned': 'how the model was trained',
  token_type_count: 'for classes of texts, of which a language model has one',
  tensor_data_layout: 'an older note that the rows of queries and keys are permuted, as they are in all such files',
};

/** Keys that must have the value that changes nothing. */
const neutralValues: Readonly<Record<string, (value: MetadataValue) => boolean>> = {
  'attention.causal': (value) => value === true,
  'rope.scaling.alpha': (value) => value === 0 || value === 1,
  'rope.scaling.yarn_ext_factor': (value) => value === 1,
};

/** The keys of one architecture, by what follows its name. */
export class Keys {
  readonly file: string;
  readonly #architecture: string;
  readonly #metadata: Metadata;
  readonly #read = new Set<string>();

  constructor(metadata: Metadata, architecture: string, file: string) {
    this.#metadata = metadata;
    this.#architecture = architecture;
    this.file = file;
  }

  /** A value as it stands in the file; `undefined` if absent. */
  raw(key: string): MetadataValue | undefined {
    this.#read.add(key);
    return this.#metadata.get(`${this.#architecture}.${key}`);
  }

  /**
   * A whole number, or a list of one for each layer that are all the same.
   * @throws SubzeroError `invalid_data` for another value and for an absent key without a fallback, `unsupported` if
   *   layers differ
   */
  whole<T = never>(key: string, fallback?: T): number | T {
    const value = this.#uniform(key);
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.wrong(key, 'a whole number', value);
  }

  /** A finite number: the decimal that its author wrote, where it is stored as an f32. */
  real<T = never>(key: string, fallback?: T): number | T {
    const value = this.#uniform(key);
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === 'number' && Number.isFinite(value)) return shortestDecimal(value);
    throw this.wrong(key, 'a number', value);
  }

  /** A whole number for each layer, of a list or of one number for all. @throws SubzeroError `invalid_data` */
  wholes(key: string, layers: number): number[] {
    const value = this.raw(key);
    const list = typeof value === 'number' ? Array<number>(layers).fill(value) : value;
    const isList = Array.isArray(list) && list.length === layers;
    if (isList && list.every((each) => Number.isSafeInteger(each) && (each as number) >= 0)) return list as number[];
    throw this.wrong(key, `a whole number, or one for each of ${layers} layers`, value);
  }

  /** A truth value for each layer; undefined if absent. @throws SubzeroError `invalid_data` */
  flags(key: string, layers: number): boolean[] | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    const isList = Array.isArray(value) && value.length === layers && value.every((each) => typeof each === 'boolean');
    if (isList) return value as boolean[];
    throw this.wrong(key, `a truth value for each of ${layers} layers`, value);
  }

  text<T = never>(key: string, fallback?: T): string | T {
    const value = this.raw(key);
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === 'string') return value;
    throw this.wrong(key, 'a text', value);
  }

  #uniform(key: string): MetadataValue | undefined {
    const value = this.raw(key);
    if (!Array.isArray(value)) return value;
    if (value.length > 0 && value.every((entry) => entry === value[0])) return value[0];
    throw this.error('unsupported', key, `is ${quoteValue(value)}; expected the same for all layers`);
  }

  /** Refuses the keys of the architecture that were not read and may change the function. */
  done(): void {
    const prefix = `${this.#architecture}.`;
    for (const [name, value] of this.#metadata) {
      if (!name.startsWith(prefix)) continue;
      const key = name.slice(prefix.length);
      if (this.#read.has(key) || Object.hasOwn(neutralKeys, key)) continue;
      const isNeutral = Object.hasOwn(neutralValues, key) ? neutralValues[key]! : isOff;
      if (isNeutral(value)) continue;
      throw this.error(
        'unsupported',
        key,
        `(${quoteValue(value)}) is not known here, so it cannot be told whether it changes the function`,
      );
    }
  }

  wrong(key: string, expected: string, value: MetadataValue | undefined): SubzeroError {
    return this.error(
      'invalid_data',
      key,
      `${value === undefined ? 'is missing' : `is ${quoteValue(value)}`}; expected ${expected}`,
    );
  }

  error(code: 'invalid_data' | 'unsupported', key: string, what: string): SubzeroError {
    return new SubzeroError(code, `${this.file}: "${this.#architecture}.${key}" ${what}`, { parameter: this.file });
  }
}

/** Layers, without those behind them that guess further tokens. */
export function layersOf(keys: Keys): number {
  const [blocks, guessing] = [keys.whole('block_count'), keys.whole('nextn_predict_layers', 0)];
  if (guessing <= blocks) return blocks - guessing;
  throw keys.error('invalid_data', 'nextn_predict_layers', `is ${guessing}, of ${blocks} layers`);
}

/** A count of nothing, or a switch that is off. */
function isOff(value: MetadataValue): boolean {
  return value === 0 || value === false || value === '' || (Array.isArray(value) && value.every(isOff));
}

/** The shortest decimal that rounds to an f32: 1e-6 and not 9.999999974752427e-7. Other numbers stay as they are. */
export function shortestDecimal(value: number): number {
  if (!Number.isFinite(value) || Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return value;
}
