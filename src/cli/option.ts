/**
 * What an option is: one line of a command's table. Parsing, the environment, configuration files, help and the types
 * of the values all follow from it.
 *
 * @module
 */

/** What all options have. */
interface OptionBase {
  /** Long name in kebab case, without dashes: `learning-rate`. */
  readonly name: string;
  /** What it does, for the help; no full stop at the end. */
  readonly description: string;
  /** Heading that it stands under in the help. */
  readonly group?: string;
  /** Stands for the value in the help: `DIR`, `N`. */
  readonly placeholder?: string;
  /** In words, where the default is not a constant. */
  readonly defaultText?: string;
  /** Refuses a value by throwing; `label` is how the value was given, such as `--steps`. */
  readonly check?: (value: never, label: string) => void;
}

export interface TextOption extends OptionBase {
  readonly type: 'text';
  readonly choices?: readonly string[];
  readonly default?: string;
  /** An empty text is a value, not an oversight. */
  readonly allowEmpty?: boolean;
}

export interface NumberOption extends OptionBase {
  /** `bytes` is a whole number that may be written with a unit: 6GiB. */
  readonly type: 'number' | 'integer' | 'bytes';
  readonly choices?: readonly number[];
  readonly default?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  /** Words that may stand for the number. */
  readonly words?: readonly string[];
}

export interface FlagOption extends OptionBase {
  readonly type: 'flag';
  readonly default?: boolean;
}

/** May be given several times; in the environment, values are separated by commas. */
export interface ListOption extends OptionBase {
  readonly type: 'list';
}

export type OptionSpecification = TextOption | NumberOption | FlagOption | ListOption;

export type OptionValue = string | number | boolean | readonly string[];

/** Where a value came from, nearest first. */
export type ValueSource = 'flag' | 'environment' | 'configuration file' | 'default';

/** `learning-rate` → `learningRate`. */
export type CamelCase<Name extends string> = Name extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Name;

type ValueOf<Option extends OptionSpecification> = Option extends { type: 'flag' }
  ? boolean
  : Option extends { type: 'list' }
    ? readonly string[]
    : Option extends { choices: readonly (infer Choice)[] }
      ? Choice
      : Option extends { type: 'text' }
        ? string
        : Option extends { words: readonly (infer Word)[] }
          ? number | Word
          : number;

/** Flags and lists always have a value (`false`, empty); everything else only where the table has a default. */
type Always<Option extends OptionSpecification> = Option extends { type: 'flag' | 'list' }
  ? true
  : Option extends { default: string | number }
    ? true
    : false;

/** The values of a table of options, by camel-case name. */
export type OptionValues<Options extends readonly OptionSpecification[]> = {
  readonly [Option in Options[number] as CamelCase<Option['name']>]: Always<Option> extends true
    ? ValueOf<Option>
    : ValueOf<Option> | undefined;
};

/** `learning-rate` → `learningRate`. */
export function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** `learningRate` → `learning-rate`. */
export function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `learning-rate` → `SUBZERO_LEARNING_RATE`. */
export function environmentName(name: string): string {
  return `SUBZERO_${name.replaceAll('-', '_').toUpperCase()}`;
}
