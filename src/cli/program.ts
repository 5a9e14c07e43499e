/**
 * The command line: finds the command, reads its options, runs it, and turns failures into messages and exit codes.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { packageVersion } from '../version.ts';
import { wording } from '../words.ts';
import type { Command } from './command.ts';
import { commands as allCommands } from './commands/index.ts';
import { commandHelp, programHelp } from './help.ts';
import type { Host } from './host.ts';
import { suggestion } from './nearest.ts';
import { camelCase } from './option.ts';
import { parseOptions } from './parse.ts';
import { UsageError } from './usage-error.ts';

/**
 * Exit codes: 0 = done, 1 = failed (`diff`: not the same; 2 = failed), 2 = the command line is wrong, 128 + n = ended
 * by signal n.
 */
const exitCode = { done: 0, failure: 1, usage: 2, cancelled: 130 } as const;

/**
 * Runs one command line.
 * @param words the arguments after the program's name
 * @returns the exit code; messages have been written by then
 */
export async function runProgram(
  words: readonly string[],
  host: Host,
  commands: readonly Command[] = allCommands,
): Promise<number> {
  try {
    return await dispatch(words, host, commands);
  } catch (error) {
    const command = commands.find(({ name }) => name === words[0]);
    return reportError(error, host, command);
  }
}

async function dispatch(words: readonly string[], host: Host, commands: readonly Command[]): Promise<number> {
  const [name, ...rest] = words;
  const output = host.standardOutput;
  if (name === undefined) {
    host.standardError.write(programHelp(commands, packageVersion()));
    return exitCode.usage;
  }
  if (name === '--version') {
    output.write(`${packageVersion()}\n`);
    return exitCode.done;
  }
  if (name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) {
    output.write(programHelp(commands, packageVersion()));
    return exitCode.done;
  }
  const wanted = name === 'help' ? rest[0]! : name;
  const command = commands.find((candidate) => candidate.name === wanted);
  if (!command) throw unknownCommand(wanted, commands);
  if (name === 'help' || rest.includes('--help') || rest.includes('-h')) {
    output.write(commandHelp(command));
    return exitCode.done;
  }
  const parsed = parse(command, rest, host);
  return (await command.run({ ...host, options: parsed.values, sources: parsed.sources })) ?? exitCode.done;
}

function parse(command: Command, words: readonly string[], host: Host) {
  try {
    return parseOptions(command.options, words, host.environment, command);
  } catch (error) {
    if (!(error instanceof UsageError) || error.hint) throw error;
    throw new UsageError(error.message, {
      ...(error.parameter ? { parameter: error.parameter } : {}),
      hint: `"subzero ${command.name} --help" lists all options`,
    });
  }
}

function unknownCommand(word: string, commands: readonly Command[]): UsageError {
  const names = commands.map((command) => command.name);
  if (word.startsWith('-')) {
    const option = word.split('=', 1)[0]!;
    return new UsageError(`${option} stands before the command, where only --help and --version can`, {
      hint: `first the command (${names.join(', ')}), then its options`,
    });
  }
  return new UsageError(`unknown command "${word}"${suggestion(word, names)}`, {
    hint: `commands: ${names.join(', ')}; "subzero --help" says what they do`,
  });
}

/**
 * Says what went wrong in one line and what to do in the next; a stack trace only on request.
 * @returns the exit code
 */
function reportError(error: unknown, host: Host, command: Command | undefined): number {
  const known = error instanceof SubzeroError;
  const message = error instanceof Error ? error.message : String(error);
  const options = new Map((command?.options ?? []).map(({ name }) => [camelCase(name), `--${name}`]));
  const text = known ? wording(error.words, (name) => options.get(name) ?? name) : `internal error: ${message}`;
  const lines = [`subzero: ${text}`];
  const hint = hintFor(error);
  if (hint) lines.push(`  ${hint}`);
  if (isSet(host.environment.SUBZERO_DEBUG) && error instanceof Error && error.stack) lines.push(error.stack);
  host.standardError.write(`${lines.join('\n')}\n`);
  if (error instanceof UsageError) return exitCode.usage;
  return known && error.code === 'cancelled' ? exitCode.cancelled : (command?.failureCode ?? exitCode.failure);
}

function hintFor(error: unknown): string | undefined {
  if (error instanceof UsageError) return error.hint;
  if (!(error instanceof SubzeroError)) {
    return 'this is a defect of subzero; SUBZERO_DEBUG=1 shows where, please report it with that';
  }
  return undefined;
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0';
}
