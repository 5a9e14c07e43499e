/**
 * Command line + environment + configuration file + defaults → one value per option.
 *
 * @module
 */

import type { Command } from './command.ts';
import { readConfigurationFile } from './configuration-file.ts';
import { suggestion } from './nearest.ts';
import { camelCase, environmentName, type OptionSpecification, type OptionValue, type ValueSource } from './option.ts';
import { UsageError } from './usage-error.ts';
import { parseText } from './values.ts';

export interface ParsedOptions {
  /** By camel-case name; options without value and default are absent. */
  readonly values: Readonly<Record<string, OptionValue>>;
  /** By camel-case name, for every option that has a value. */
  readonly sources: Readonly<Record<string, ValueSource>>;
}

/**
 * Flags come before the environment, the environment before the configuration file (option `config`, if the table has
 * it), the file before the defaults. A flag given twice counts the second time, except for lists, which add up.
 * @param command its operands, names of text options whose values may stand without a name, and options that it refuses
 * @throws UsageError for unknown options, missing values and values that the option does not take
 */
export function parseOptions(
  options: readonly OptionSpecification[],
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  command: Pick<Command, 'operands' | 'refused'> = {},
): ParsedOptions {
  const flags = parseFlags(options, words, command);
  const variables = parseEnvironment(options, environment);
  const path = flags.get('config') ?? variables.get('config');
  const fileOptions = options.filter((option) => option.name !== 'config');
  const file = typeof path === 'string' ? readConfigurationFile(path, fileOptions) : new Map<string, OptionValue>();

  const values: Record<string, OptionValue> = {};
  const sources: Record<string, ValueSource> = {};
  for (const option of options) {
    const places: [ValueSource, OptionValue | undefined][] = [
      ['flag', flags.get(option.name)],
      ['environment', variables.get(option.name)],
      ['configuration file', file.get(option.name)],
      ['default', defaultOf(option)],
    ];
    const found = places.find(([, value]) => value !== undefined);
    if (!found) continue;
    const key = camelCase(option.name);
    sources[key] = found[0];
    values[key] = found[1]!;
  }
  return { values, sources };
}

function defaultOf(option: OptionSpecification): OptionValue | undefined {
  if (option.type === 'list') return [];
  if (option.type === 'flag') return option.default ?? false;
  return option.default;
}

function parseFlags(
  options: readonly OptionSpecification[],
  words: readonly string[],
  { operands = [], refused = {} }: Pick<Command, 'operands' | 'refused'>,
): Map<string, OptionValue> {
  const unnamed = operands.values();
  const byName = new Map(options.map((option) => [option.name, option]));
  const values = new Map<string, OptionValue>();
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (!word.startsWith('-') || word === '-' || word === '--') {
      const operand = byName.get(unnamed.next().value ?? '');
      if (operand) {
        values.set(operand.name, parseText(operand, word, `--${operand.name}`));
        continue;
      }
      const before = words[index - 1] ?? '';
      if (/^(true|false)$/.test(word) && /^--[^=]+$/.test(before)) {
        // What the words before it took is no flag's value, so that the one before is a flag.
        throw new UsageError(`${before} takes no value; write ${before}=${word}`);
      }
      throw new UsageError(`unexpected argument "${word}"; everything is given by options that start with --`);
    }
    const { name, text, negated } = splitFlag(word, byName);
    const option = word.startsWith('--') ? byName.get(name) : undefined;
    if (!option) {
      const reason = Object.hasOwn(refused, name) ? refused[name] : undefined;
      if (reason !== undefined) throw new UsageError(`--${name} ${reason}`, { parameter: name });
      const names = options.map((candidate) => candidate.name);
      throw new UsageError(`unknown option ${word.split('=', 1)[0]}${suggestion(name, names, '--')}`, {
        parameter: name,
      });
    }
    const label = `--${negated ? 'no-' : ''}${name}`;
    if (option.type === 'flag') {
      if (negated && text !== undefined) throw new UsageError(`${label} takes no value`, { parameter: name });
      values.set(name, text === undefined ? !negated : parseText(option, text, label));
      continue;
    }
    let value = text;
    if (value === undefined) {
      value = words[index + 1];
      // What looks like an option is one: a forgotten value must not swallow it. Negative numbers and "-" are values.
      if (value === undefined || /^--?[A-Za-z]/.test(value)) {
        const example = option.placeholder ?? 'VALUE';
        throw new UsageError(`${label} needs a value: ${label} ${example}`, {
          parameter: name,
          ...(value === undefined ? {} : { hint: `a value that starts with a dash is written ${label}=${value}` }),
        });
      }
      index++;
    }
    const parsed = parseText(option, value, label);
    const before = values.get(name);
    values.set(name, Array.isArray(parsed) && Array.isArray(before) ? [...before, ...parsed] : parsed);
  }
  return values;
}

function splitFlag(word: string, byName: ReadonlyMap<string, OptionSpecification>) {
  const [, name = '', text] = /^--?([^=]*)(?:=([\s\S]*))?$/.exec(word) ?? [];
  const positive = name.startsWith('no-') ? name.slice(3) : undefined;
  if (positive !== undefined && !byName.has(name) && byName.get(positive)?.type === 'flag') {
    return { name: positive, text, negated: true };
  }
  return { name, text, negated: false };
}

function parseEnvironment(
  options: readonly OptionSpecification[],
  environment: Readonly<Record<string, string | undefined>>,
): Map<string, OptionValue> {
  const values = new Map<string, OptionValue>();
  for (const option of options) {
    const variable = environmentName(option.name);
    const text = environment[variable];
    // An empty variable is how many tools unset one.
    if (text === undefined || text === '') continue;
    if (option.type === 'list') {
      const items = text.split(',').map((item) => item.trim());
      values.set(
        option.name,
        items.flatMap((item) => parseText(option, item, variable) as string[]),
      );
    } else {
      values.set(option.name, parseText(option, text, variable));
    }
  }
  return values;
}
