/**
 * Turns what a user wrote (text on the command line or in the environment, JSON in a configuration file) into a
 * checked value of an option.
 *
 * @module
 */

import { parseBytes } from '../format.ts';
import type { ListOption, NumberOption, OptionSpecification, OptionValue, TextOption } from './option.ts';
import { UsageError } from './usage-error.ts';

const yes = new Set(['true', '1', 'yes', 'on']);
const no = new Set(['false', '0', 'no', 'off']);

/**
 * @param label how the value was given, for messages: `--steps`, `SUBZERO_STEPS`, `"steps" in run.json`
 * @throws UsageError when the value is not one that the option takes
 */
export function parseText(option: OptionSpecification, text: string, label: string): OptionValue {
  switch (option.type) {
    case 'flag': {
      const word = text.trim().toLowerCase();
      if (!yes.has(word) && !no.has(word)) throw refuse(option, label, 'true or false', text);
      return yes.has(word);
    }
    case 'number':
    case 'integer':
      return checkNumber(option, text.trim() === '' ? Number.NaN : Number(text), label, text);
    case 'bytes':
      return checkNumber(option, parseBytes(text), label, text);
    case 'text':
      return checkText(option, text, label);
    case 'list':
      return [checkText(option, text, label)];
  }
}

/** The same for a value out of a JSON file, where the type of the value counts too. */
export function parseJson(option: OptionSpecification, value: unknown, label: string): OptionValue {
  switch (option.type) {
    case 'flag':
      if (typeof value !== 'boolean') throw refuse(option, label, 'true or false', value);
      return value;
    case 'number':
    case 'integer':
      return checkNumber(option, typeof value === 'number' ? value : Number.NaN, label, value);
    case 'bytes':
      if (typeof value === 'string') return parseText(option, value, label);
      return checkNumber(option, typeof value === 'number' ? value : Number.NaN, label, value);
    case 'text':
      if (typeof value !== 'string') throw refuse(option, label, 'a text in quotes', value);
      return checkText(option, value, label);
    case 'list': {
      const items: unknown[] = Array.isArray(value) ? value : [value];
      return items.map((item) => {
        if (typeof item !== 'string') throw refuse(option, label, 'a text or a list of texts', value);
        return checkText(option, item, label);
      });
    }
  }
}

const kinds: Readonly<Record<NumberOption['type'], string>> = {
  number: 'a number',
  integer: 'a whole number',
  bytes: 'a number of bytes such as 500MB or 6GiB',
};

function checkNumber(option: NumberOption, value: number, label: string, given: unknown): number | string {
  const { choices, minimum, maximum, words = [] } = option;
  if (typeof given === 'string' && words.includes(given)) return given;
  if (choices && !choices.includes(value)) throw refuse(option, label, `one of ${choices.join(', ')}`, given);
  const kind = [kinds[option.type], ...words].join(' or ');
  if (!Number.isFinite(value)) throw refuse(option, label, kind, given);
  if (option.type !== 'number' && !Number.isSafeInteger(value)) throw refuse(option, label, kind, given);
  if (minimum !== undefined && value < minimum) throw refuse(option, label, `at least ${minimum}`, given);
  if (maximum !== undefined && value > maximum) throw refuse(option, label, `at most ${maximum}`, given);
  option.check?.(value as never, label);
  return value;
}

function checkText(option: TextOption | ListOption, value: string, label: string): string {
  if (option.type === 'text' && option.choices && !option.choices.includes(value)) {
    throw refuse(option, label, `one of ${option.choices.join(', ')}`, value);
  }
  if (value === '' && !(option.type === 'text' && option.allowEmpty)) {
    throw refuse(option, label, option.placeholder ? `a value (${option.placeholder})` : 'a value', value);
  }
  option.check?.(value as never, label);
  return value;
}

function refuse(option: OptionSpecification, label: string, expected: string, given: unknown): UsageError {
  return new UsageError(`${label} must be ${expected}; got ${JSON.stringify(given)}`, { parameter: option.name });
}
