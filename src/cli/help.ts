/**
 * The texts of `--help`, made from the tables that the parser uses.
 *
 * @module
 */

import { formatBytes } from '../format.ts';
import type { Command } from './command.ts';
import { environmentName, type OptionSpecification } from './option.ts';

const width = 100;
const indent = 28;

/** Help of the whole program. */
export function programHelp(commands: readonly Command[], version: string): string {
  const column = Math.max(...commands.map((command) => command.name.length)) + 3;
  return [
    `subzero ${version}: fine-tunes and serves language models by zeroth-order optimisation on WebGPU.`,
    '',
    'Usage: subzero COMMAND [options]',
    '',
    'Commands:',
    ...commands.map((command) => `  ${command.name.padEnd(column)}${command.summary}`),
    '',
    'Options:',
    '  -h, --help      this text, or with a command the help of that command',
    '  --version       print the version',
    '',
    'Every option of a command can also be given in the environment (SUBZERO_ and its name: --batch-size is',
    'SUBZERO_BATCH_SIZE) and in a JSON file (--config FILE: {"batch-size": 16} or {"batchSize": 16}).',
    'Flags win over the environment, the environment over the file, the file over the defaults.',
    'SUBZERO_DEBUG=1 shows the stack trace of an error.',
    '',
    'Help of a command: subzero COMMAND --help',
    '',
  ].join('\n');
}

/** Help of one command: usage, every option with its default and environment name, examples. */
export function commandHelp(command: Command): string {
  const lines = [`${command.summary}.`, ''];
  lines.push(...command.usage.map((usage, index) => `${index === 0 ? 'Usage:' : '      '} subzero ${usage}`));
  for (const paragraph of command.details ?? []) lines.push('', ...wrap(paragraph, width));
  const groups = new Map<string, OptionSpecification[]>();
  for (const option of command.options) {
    const name = option.group ?? 'Options';
    groups.set(name, [...(groups.get(name) ?? []), option]);
  }
  for (const [name, options] of groups) lines.push('', `${name}:`, ...options.flatMap(describeOption));
  lines.push(...describeLine('-h, --help', 'this text'));
  if (command.examples.length > 0) lines.push('', 'Examples:');
  for (const example of command.examples) {
    lines.push(`  ${example.text}:`, ...example.command.split('\n').map((line) => `    ${line}`));
  }
  return `${lines.join('\n')}\n`;
}

function describeOption(option: OptionSpecification): string[] {
  const facts: string[] = [];
  if ('choices' in option && option.choices) facts.push(`one of ${option.choices.join(', ')}`);
  if ('minimum' in option && option.minimum !== undefined) {
    const { minimum, maximum } = option;
    facts.push(maximum === undefined ? `at least ${minimum}` : `${minimum} to ${maximum}`);
  }
  const defaultText = describeDefault(option);
  if (defaultText) facts.push(`default ${defaultText}`);
  if (option.type === 'list') facts.push('can be repeated');
  facts.push(environmentName(option.name));
  return describeLine(optionForm(option), `${option.description} (${facts.join('; ')})`);
}

/** `--steps N` */
export function optionForm(option: OptionSpecification): string {
  if (option.type === 'flag') return option.default ? `--[no-]${option.name}` : `--${option.name}`;
  const fallback = { text: 'TEXT', list: 'TEXT', integer: 'N', number: 'X', bytes: 'SIZE' }[option.type];
  return `--${option.name} ${option.placeholder ?? fallback}`;
}

function describeDefault(option: OptionSpecification): string | undefined {
  if (option.defaultText) return option.defaultText;
  if (option.type === 'list' || option.default === undefined) return undefined;
  if (option.type === 'flag') return option.default ? 'on' : undefined;
  // As it could be typed: 512MiB.
  if (option.type === 'bytes' && option.default > 0) return formatBytes(option.default).replace(/(\.0)? /, '');
  return String(option.default);
}

function describeLine(form: string, text: string): string[] {
  const [first = '', ...rest] = wrap(text, width - indent);
  const pad = ' '.repeat(indent);
  const head = `  ${form}`;
  // A long form gets a line of its own, so that the descriptions stay aligned.
  const start = head.length + 2 > indent ? [head, pad + first] : [head.padEnd(indent) + first];
  return [...start, ...rest.map((line) => pad + line)];
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
