/**
 * What a row of the table of settings says.
 *
 * @module
 */

import { parameter, type Words, words } from '../words.ts';
import type { TrainConfiguration } from './configuration.ts';
import { meansOf, type OptimizerName, optimizersThat } from './methods.ts';
import { type ObjectiveName, preferenceObjective } from './objectives.ts';
import type { SchemeName } from './schemes.ts';

interface SettingBase {
  /** What it does, for the command line's help and the description of the API; no full stop at the end. */
  help: string;
  /** Heading that it stands under in the help: how data is read, what is computed, or how a run is conducted. */
  group: 'data' | 'method' | 'run';
  /** Label of its field in a form, where that is not just the name in words. */
  title?: string;
  /** Stands for the value in the help. */
  placeholder?: string;
  /** What a number counts. `bytes` may be written as 6GiB on the command line. */
  unit?: 'bytes' | 'examples' | 'rows' | 'steps' | 'tokens';
  /** Its name in requests, where that is not just the snake-case form. */
  requestName?: string;
  /** Where it plays a part; everywhere if left out. */
  appliesTo?: Applies;
  /** What is wrong with its value beside those of other settings, each of which is allowed by itself. */
  rule?: Rule;
  /**
   * When it may change: in a resumed or forked run, or in a forked one only, as it decides which numbers a step
   * records. All others decide what these numbers mean, and a journal has one meaning for all its steps.
   */
  changes?: 'resume' | 'fork';
  /** Whether it belongs to the training loop, which is the caller's own in runs that are made step by step. */
  loop?: true;
}

interface NumberSetting extends SettingBase {
  type: 'integer' | 'number';
  default: number;
  minimum: number;
  maximum: number;
}

interface ChoiceSetting extends SettingBase {
  type: 'choice';
  default: string | number;
  choices: readonly (string | number)[];
}

interface BooleanSetting extends SettingBase {
  type: 'boolean';
  default: boolean;
}

/** At most {@link longestText} characters; empty for none. */
interface TextSetting extends SettingBase {
  type: 'text';
  default: string;
}

/** Names or patterns; at most {@link mostItems} of at most {@link longestItem} characters. */
interface ListSetting extends SettingBase {
  type: 'list';
  default: readonly string[];
}

export const mostItems = 64;
export const longestItem = 256;
export const longestText = 4096;

export type Setting = NumberSetting | ChoiceSetting | BooleanSetting | ListSetting | TextSetting;

/** The values of a row. */
export type ValueOf<Row> = Row extends { type: 'choice'; choices: readonly (infer Choice)[] }
  ? Choice
  : Row extends { type: 'boolean' }
    ? boolean
    : Row extends { type: 'list' }
      ? readonly string[]
      : Row extends { type: 'text' }
        ? string
        : number;

export interface Applies {
  holds: (configuration: TrainConfiguration) => boolean;
  /** What it has no effect without: "--optimizer mezo". */
  without: Words;
}

export type Rule = (configuration: TrainConfiguration) => Words | undefined;

export function withOptimizers(names: readonly OptimizerName[]): Applies {
  return {
    holds: ({ optimizer }) => names.includes(optimizer),
    without: words`${parameter('optimizer')} ${names.join(' or ')}`,
  };
}

export function withSchemes(names: readonly SchemeName[]): Applies {
  return {
    holds: ({ scheme }) => names.includes(scheme),
    without: words`${parameter('scheme')} ${names.join(' or ')}`,
  };
}

/** @param names of objectives for preferences, which `auto` may stand for */
export function withObjectives(names: readonly ObjectiveName[]): Applies {
  return {
    holds: ({ objective }) => names.includes(objective === 'auto' ? preferenceObjective : objective),
    without: words`${parameter('objective')} ${names.join(' or ')}`,
  };
}

/** Where two things are so at once. */
export function both(one: Applies, other: Applies): Applies {
  return {
    holds: (configuration) => one.holds(configuration) && other.holds(configuration),
    without: words`${one.without} and ${other.without}`,
  };
}

/** Where the update keeps running means of gradients, of the kinds that are named. */
export function withMeans(...kinds: readonly ('momentum' | 'adam')[]): Applies {
  const always = optimizersThat(({ means }) => means === 'adam').join(' or ');
  const chosen = optimizersThat(({ means }) => means === 'chosen').join(' or ');
  const update = words`${parameter('mezoUpdate')} ${kinds.join(' or ')}`;
  return {
    holds: (configuration) => (kinds as readonly string[]).includes(meansOf(configuration)),
    without: words`${parameter('optimizer')} ${always}, or ${chosen} with ${update}`,
  };
}
