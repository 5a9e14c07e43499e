/**
 * What a command is: a name, a table of options, examples, and what it does.
 *
 * @module
 */

import type { Host } from './host.ts';
import type { OptionSpecification, OptionValues, ValueSource } from './option.ts';

/** A command's world and the values of its options. */
export interface CommandContext<Values> extends Host {
  readonly options: Values;
  /** Where each value came from, by camel-case name. */
  readonly sources: Readonly<Record<string, ValueSource>>;
}

export interface Command {
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Usage lines without the program's name. */
  readonly usage: readonly string[];
  /** Further paragraphs of the help. */
  readonly details?: readonly string[];
  readonly options: readonly OptionSpecification[];
  /** Options of other commands that this one does not take, by name, with the reason. */
  readonly refused?: Readonly<Record<string, string>>;
  /** Names of text options that the words without a name are the values of, in their order. */
  readonly operands?: readonly string[];
  readonly examples: readonly { readonly text: string; readonly command: string }[];
  /** The exit code of a failure, where 1 is an answer of the command; 1 if left out. */
  readonly failureCode?: number;
  /** Does the work; the result is the exit code, 0 if there is none. */
  run(context: CommandContext<Readonly<Record<string, unknown>>>): Promise<number | undefined>;
}

/** Declares a command; `run` sees the values of its options with their types. */
export function defineCommand<const Options extends readonly OptionSpecification[]>(
  command: Omit<Command, 'options' | 'run'> & {
    readonly options: Options;
    run(context: CommandContext<OptionValues<Options>>): Promise<number | undefined>;
  },
): Command & { readonly options: Options } {
  // The parser fills in exactly the values that the table describes.
  return command as unknown as Command & { readonly options: Options };
}
