/**
 * Everything that decides what a training run computes. The journal's header stores it; two runs with equal
 * configuration, base model, data and adapter make equal bits.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { parameter, words } from '../words.ts';
import { methods, type OptimizerName } from './methods.ts';
import { objectives } from './objectives.ts';
import { type SchemeName, schemes } from './schemes.ts';
import { longestItem, longestText, mostItems, type ValueOf } from './setting.ts';
import { isSetting, type SettingName, settingNames, settingOf, type settings } from './settings.ts';

/** The value of every setting, see settings.ts. */
export type TrainConfiguration = { -readonly [S in keyof typeof settings]: ValueOf<(typeof settings)[S]> };

/** What a setting can be. */
export type SettingValue = TrainConfiguration[SettingName];

/** The defaults of SubZero on all parameters; other optimisers and schemes differ in some, see {@link defaultsOf}. */
export const defaultConfiguration = Object.fromEntries(
  settingNames.map((name) => [name, settingOf(name).default]),
) as unknown as TrainConfiguration;

/**
 * The settings of an optimiser and a scheme where none are given. Unknown names have those of SubZero and of full
 * tuning; {@link resolveConfiguration} refuses them.
 */
export function defaultsOf(
  optimizer: OptimizerName = defaultConfiguration.optimizer,
  scheme: SchemeName = defaultConfiguration.scheme,
): TrainConfiguration {
  const method = Object.hasOwn(methods, optimizer) ? methods[optimizer] : methods.subzero;
  const ofScheme = Object.hasOwn(schemes, scheme) ? schemes[scheme].defaults : {};
  return {
    ...defaultConfiguration,
    ...method.defaults,
    ...ofScheme.all,
    ...ofScheme[method.family],
    optimizer,
    scheme,
  };
}

/** Examples of a step. */
export function examplesPerStep({
  batchSize,
  accumulate,
}: Pick<TrainConfiguration, 'batchSize' | 'accumulate'>): number {
  return batchSize * accumulate;
}

/** Whether a run needs the log-probabilities that its base gives to the label tokens. */
export function comparesWithBase({ objective, anchor }: Pick<TrainConfiguration, 'objective' | 'anchor'>): boolean {
  return anchor > 0 || objectives[objective].base === true;
}

/**
 * Why the machines of a cluster cannot share a run, and the setting that says so; nothing where they can.
 */
export function unsharedBecause({
  objective,
  anchor,
}: Pick<TrainConfiguration, 'objective' | 'anchor'>): { named: 'objective' | 'anchor'; reason: string } | undefined {
  if (objectives[objective].generates) {
    return { named: 'objective', reason: 'generates answers and grades them, which one machine does' };
  }
  if (!comparesWithBase({ objective, anchor })) return undefined;
  const reason = 'needs what the base says of the examples, which workers do not have';
  return { named: anchor > 0 ? 'anchor' : 'objective', reason };
}

/**
 * Whether a run has written the base model's weights after its first `steps` steps: it does so from the first fold on,
 * or with every step, and never where a bank keeps the change.
 */
export function writesWeights({ optimizer, scheme, refresh, change }: TrainConfiguration, steps: number): boolean {
  if (schemes[scheme].adds !== undefined || steps === 0) return false;
  return methods[optimizer].family === 'dense' || (change !== 'bank' && steps > refresh);
}

/** What a value of a setting must be, where it is not that: "between 1 and 256". */
export function expectedOf(name: SettingName, value: unknown): string | undefined {
  const setting = settingOf(name);
  switch (setting.type) {
    case 'integer':
    case 'number': {
      const { minimum, maximum } = setting;
      if (typeof value !== 'number' || !(value >= minimum && value <= maximum))
        return `between ${minimum} and ${maximum}`;
      return setting.type === 'integer' && !Number.isInteger(value) ? 'a whole number' : undefined;
    }
    case 'choice':
      if ((setting.choices as readonly unknown[]).includes(value)) return undefined;
      return `one of ${setting.choices.map((choice) => JSON.stringify(choice)).join(', ')}`;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'true or false';
    case 'text':
      return typeof value === 'string' && value.length <= longestText
        ? undefined
        : `a text of at most ${longestText} characters`;
    case 'list': {
      const fits = (item: unknown) => typeof item === 'string' && item.length > 0 && item.length <= longestItem;
      if (Array.isArray(value) && value.length <= mostItems && value.every(fits)) return undefined;
      return `a list of at most ${mostItems} texts of 1 to ${longestItem} characters`;
    }
  }
}

/**
 * Fills in the defaults of the optimiser and the scheme and checks every field.
 * @throws SubzeroError `invalid_argument` that names the field, the value that came and the values allowed.
 */
export function resolveConfiguration(partial: Partial<TrainConfiguration>): TrainConfiguration {
  const configuration = defaultsOf(partial.optimizer, partial.scheme);
  for (const [key, value] of Object.entries(partial)) {
    if (value === undefined) continue;
    if (!isSetting(key)) {
      throw new SubzeroError('invalid_argument', `unknown training setting "${key}"`, { parameter: key });
    }
    (configuration as Record<string, unknown>)[key] = value;
  }
  for (const name of settingNames) {
    const value = configuration[name];
    const expected = expectedOf(name, value);
    if (expected === undefined) continue;
    const got = typeof value === 'number' ? value : (JSON.stringify(value) ?? String(value));
    throw new SubzeroError('invalid_argument', words`${parameter(name)} must be ${expected}; got ${got}`, {
      parameter: name,
    });
  }
  for (const name of settingNames) {
    const problem = settingOf(name).rule?.(configuration);
    if (problem) throw new SubzeroError('invalid_argument', problem, { parameter: name });
  }
  return configuration;
}
