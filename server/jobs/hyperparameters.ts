/**
 * Between the `method` of a fine-tuning request and the training configuration. The names of the settings are those
 * of their table, so that a setting added there is a hyperparameter here.
 *
 * @module
 */

import { SubzeroError } from '../../src/errors.ts';
import {
  defaultConfiguration,
  defaultsOf,
  resolveConfiguration,
  type SettingValue,
  type TrainConfiguration,
} from '../../src/settings/configuration.ts';
import { stepsOfEpochs } from '../../src/settings/epochs.ts';
import type { OptimizerName } from '../../src/settings/methods.ts';
import type { SchemeName } from '../../src/settings/schemes.ts';
import { isSetting, type SettingName, settingNames } from '../../src/settings/settings.ts';
import { wording } from '../../src/words.ts';
import { ApiError, invalid } from '../errors.ts';
import { refusedFields } from '../schemas/known-fields.ts';
import { maxEpochs } from '../schemas/limits.ts';
import { wireName } from '../setting-names.ts';

/** The resolved configuration under its names on the wire. */
export function toWire(configuration: TrainConfiguration): Record<string, SettingValue> {
  return Object.fromEntries(settingNames.map((setting) => [wireName(setting), configuration[setting]]));
}

export type HyperparameterValue = string | number | boolean | readonly string[] | null | undefined;

/** The methods of jobs: one of our own, and those of OpenAI. */
const methodTypes = ['zeroth_order', 'supervised', 'dpo', 'reinforcement'] as const;
export type MethodType = (typeof methodTypes)[number];

/** Hyperparameters of OpenAI's that settings have other names for, by method. */
const otherNames: Partial<Record<MethodType, Readonly<Record<string, SettingName>>>> = {
  dpo: { beta: 'dpoBeta' },
  // What looks at more answers a step are more directions.
  reinforcement: { compute_multiplier: 'queries', eval_interval: 'evaluateEvery' },
};

/** Settings that a method decides. */
const decided: Partial<Record<MethodType, Partial<TrainConfiguration>>> = {
  dpo: { objective: 'dpo' },
  reinforcement: { objective: 'reward' },
};

/** A configuration under the names that a method of OpenAI's has beside epochs, batch size and learning rate. */
export function ownNames(type: MethodType, configuration: TrainConfiguration): Record<string, SettingValue> {
  return Object.fromEntries(
    Object.entries(otherNames[type] ?? {}).map(([name, setting]) => [name, configuration[setting]]),
  );
}

export interface MethodRequest {
  type: MethodType;
  hyperparameters: Record<string, HyperparameterValue>;
  /** Where the hyperparameters stand in the request, for messages. */
  path: string;
}

export interface ResolvedMethod {
  configuration: TrainConfiguration;
  epochs: number | null;
  learningRateMultiplier: number | null;
}

/**
 * Checks a method and fills in defaults. `"auto"` and `null` mean the default.
 * @param examples lines of the training file, to turn epochs into steps
 * @throws ApiError 400 that names the field as the request spells it
 */
export function resolveMethod(method: MethodRequest, seed: number | null, examples: number): ResolvedMethod {
  const given = new Map(
    Object.entries(method.hyperparameters).filter(
      ([, value]) => value !== null && value !== undefined && value !== 'auto',
    ),
  );
  const take = (name: string) => {
    const value = given.get(name);
    given.delete(name);
    return value as number | undefined;
  };
  const epochs = take('n_epochs') ?? null;
  const learningRateMultiplier = take('learning_rate_multiplier') ?? null;

  const partial: Record<string, HyperparameterValue> = { ...decided[method.type] };
  const named = otherNames[method.type] ?? {};
  for (const [name, setting] of Object.entries(named)) {
    if (given.has(name)) partial[setting] = given.get(name);
    given.delete(name);
  }
  // What is left of these asks for nothing, or the request was refused.
  if (method.type === 'reinforcement') {
    for (const name of Object.keys(refusedFields['method.reinforcement.hyperparameters'])) given.delete(name);
  }
  for (const setting of settingNames) {
    const value = given.get(wireName(setting));
    if (value !== undefined) partial[setting] = value;
    given.delete(wireName(setting));
  }
  const unknown = [...given.keys()][0];
  if (unknown !== undefined) {
    throw invalid(
      `Unknown hyperparameter "${unknown}"; known: ${settingNames.map(wireName).join(', ')}.`,
      `${method.path}.${unknown}`,
      'unknown_field',
    );
  }

  if (seed !== null && partial.seed !== undefined && partial.seed !== seed) {
    throw invalid(`"seed" is ${seed}, but ${method.path}.seed is ${partial.seed}; give one.`, 'seed');
  }
  if (seed !== null) partial.seed = seed;
  if (epochs !== null && partial.steps !== undefined) {
    throw invalid('Give either n_epochs or steps.', `${method.path}.n_epochs`);
  }
  if (epochs !== null && !(Number.isInteger(epochs) && epochs >= 1 && epochs <= maxEpochs)) {
    throw invalid(`n_epochs must be a whole number from 1 to ${maxEpochs}; got ${epochs}.`, `${method.path}.n_epochs`);
  }
  if (learningRateMultiplier !== null) {
    if (partial.learningRate !== undefined) {
      throw invalid(
        'Give either learning_rate_multiplier or learning_rate.',
        `${method.path}.learning_rate_multiplier`,
      );
    }
    const { learningRate } = defaultsOf(
      partial.optimizer as OptimizerName | undefined,
      partial.scheme as SchemeName | undefined,
    );
    partial.learningRate = learningRate * learningRateMultiplier;
  }
  if (epochs !== null) {
    // An estimate until the run begins, which counts the examples that these lines become.
    partial.steps = stepsOfEpochs(epochs, examples, { ...defaultConfiguration, ...partial } as TrainConfiguration);
  }
  return {
    configuration: resolve(partial as Partial<TrainConfiguration>, method.path, named),
    epochs,
    learningRateMultiplier,
  };
}

function resolve(
  partial: Partial<TrainConfiguration>,
  path: string,
  named: Readonly<Record<string, SettingName>>,
): TrainConfiguration {
  const nameOf = (setting: string): string =>
    Object.keys(named).find((name) => named[name] === setting) ?? wireName(setting);
  try {
    return resolveConfiguration(partial);
  } catch (error) {
    if (!(error instanceof SubzeroError) || !isSetting(error.parameter ?? '')) throw error;
    throw new ApiError(400, `${wording(error.words, nameOf)}.`, {
      param: `${path}.${nameOf(error.parameter!)}`,
      code: error.code,
    });
  }
}
