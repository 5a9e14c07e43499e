/**
 * Everything that decides what a training run computes. The journal's header stores it; two runs with equal
 * configuration, base model, data and adapter make equal bits.
 *
 * @module
 */

import { type Learn, learnChoices } from '../data/example.ts';
import type { Sampling } from '../data/sampling.ts';
import { SubzeroError } from '../errors.ts';
import { type Storage, storages } from '../weights/index.ts';
import { schemeDefaults } from './scheme-defaults.ts';

/** docs/method.md describes each. */
export type OptimizerName = 'subzero' | 'subzero-plus' | 'mezo' | 'sparse-mezo' | 'hizoo';
/** Names for people. */
export const optimizerTitles: Readonly<Record<OptimizerName, string>> = {
  subzero: 'SubZero',
  'subzero-plus': 'SubZero+',
  mezo: 'MeZO',
  'sparse-mezo': 'Sparse MeZO',
  hizoo: 'HiZOO',
};

/** `full` trains the model's own parameters; the others leave them alone and train what they add. docs/method.md, "Schemes". */
export const schemeNames = ['full', 'lora', 'prompt', 'prefix'] as const;
export type SchemeName = (typeof schemeNames)[number];
export const storageNames = ['auto', ...storages] as const;
export type LearningRateSchedule = 'constant' | 'linear' | 'cosine';

export interface TrainConfiguration {
  optimizer: OptimizerName;
  /** Which parameters train. */
  scheme: SchemeName;
  /** Scheme `full`: patterns over the checkpoint's names, see tuning/patterns.ts; none = all. */
  parameters: readonly string[];
  /** Scheme `lora`: columns of B and rows of A. */
  loraRank: number;
  /** Scheme `lora`: α; the product B A counts α / rank times. */
  loraAlpha: number;
  /** Scheme `lora`: ends of the names of linear layers, such as `q_proj`; none = queries and values. */
  loraTargets: readonly string[];
  /** Schemes `prompt` and `prefix`: tokens in front of every text whose embeddings, or keys and values, are trained. */
  virtualTokens: number;
  steps: number;
  /** Examples of a step, or with {@link accumulate} of a part of it. */
  batchSize: number;
  /** Batches that make a step: its loss is that of all their examples, its passes are as large as for one of them. */
  accumulate: number;
  /** Independent draws, or each example once an epoch in a new order. */
  sampling: Sampling;
  /** Added to the seed where examples are drawn. */
  batchSeed: number;
  /** Which of the assistant's turns of a conversation are learnt: all whose weight is not 0, or the last one. */
  learn: Learn;
  /** η; of SubZero+ that of Adam. */
  learningRate: number;
  schedule: LearningRateSchedule;
  warmupSteps: number;
  /** ε, the scale of the perturbation. */
  epsilon: number;
  /** r, columns of U and V; clipped to the smaller side of each matrix. SubZero and SubZero+ only, as refresh and normAlignment. */
  rank: number;
  /** F, steps between two draws of U and V. */
  refresh: number;
  /** K, directions averaged per step. */
  queries: number;
  /** 2 = central difference, 1 = forward difference against the unperturbed loss. HiZOO needs 2. */
  sides: 1 | 2;
  /** μ = sqrt(mn)/r when true, 1 when false. */
  normAlignment: boolean;
  /** Decoupled weight decay on 2-D parameters. */
  weightDecay: number;
  /** Sparse MeZO: the share of every tensor, its largest magnitudes, that is left alone. */
  sparsity: number;
  /** HiZOO: s, the weight of a step's curvature in the running estimate H. */
  hessianSmoothing: number;
  /** MeZO: what moves the weights along the estimated gradient; `momentum` keeps one more f32 copy of them, `adam` two. */
  mezoUpdate: 'sgd' | 'momentum' | 'adam';
  /** Decay of Adam's mean of gradients: SubZero+, and MeZO with momentum or Adam. */
  adamBeta1: number;
  /** Decay of Adam's mean of squared gradients: SubZero+, and MeZO with Adam. */
  adamBeta2: number;
  seed: number;
  /** Storage of the trained weights; `auto` = see WeightStorage. */
  storage: Storage | 'auto';
  /** Evaluate on the validation data every so many steps; 0 = only at the end. */
  evaluateEvery: number;
  /** End the run after so many evaluations in a row without a lower validation loss; 0 = never. */
  earlyStopping: number;
  /** Write event files for TensorBoard into the run folder. */
  tensorboard: boolean;
  /** Bytes of GPU memory that the run may take, see memory-plan.ts; 0 = no limit. */
  memory: number;
  /** Upper limit of rows (tokens × probes) of one forward pass; larger steps run in several. */
  maxRows: number;
}

/** What a setting can be. */
export type SettingValue = TrainConfiguration[keyof TrainConfiguration];

/** The defaults of SubZero on all parameters; other optimisers and schemes differ in some, see {@link defaultsOf}. */
export const defaultConfiguration: TrainConfiguration = {
  optimizer: 'subzero',
  scheme: 'full',
  parameters: [],
  loraRank: 8,
  loraAlpha: 16,
  loraTargets: [],
  virtualTokens: 10,
  steps: 1000,
  batchSize: 16,
  accumulate: 1,
  sampling: 'with-replacement',
  batchSeed: 0,
  learn: 'all',
  learningRate: 1e-6,
  schedule: 'constant',
  warmupSteps: 0,
  epsilon: 1e-3,
  rank: 24,
  refresh: 1000,
  queries: 1,
  sides: 2,
  normAlignment: true,
  weightDecay: 0,
  sparsity: 0.75,
  hessianSmoothing: 1e-6,
  mezoUpdate: 'sgd',
  adamBeta1: 0.9,
  adamBeta2: 0.95,
  seed: 0,
  storage: 'auto',
  evaluateEvery: 0,
  earlyStopping: 0,
  tensorboard: false,
  memory: 0,
  maxRows: 8192,
};

/** Where an optimiser's published settings differ from SubZero's. */
const ownDefaults: Readonly<Record<OptimizerName, Partial<TrainConfiguration>>> = {
  subzero: {},
  'subzero-plus': { steps: 400, learningRate: 5e-3, refresh: 50, queries: 99, sides: 1 },
  mezo: { adamBeta2: 0.999 },
  'sparse-mezo': {},
  hizoo: {},
};

/**
 * The settings of an optimiser and a scheme where none are given. Unknown names have those of SubZero and of full tuning;
 * {@link resolveConfiguration} refuses them.
 */
export function defaultsOf(
  optimizer: OptimizerName = defaultConfiguration.optimizer,
  scheme: SchemeName = defaultConfiguration.scheme,
): TrainConfiguration {
  return {
    ...defaultConfiguration,
    ...(Object.hasOwn(ownDefaults, optimizer) ? ownDefaults[optimizer] : {}),
    ...schemeDefaults(optimizer, scheme),
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

const bounds: Partial<Record<keyof TrainConfiguration, { min: number; max: number; integer: boolean }>> = {
  loraRank: { min: 1, max: 256, integer: true },
  loraAlpha: { min: 1e-3, max: 65_536, integer: false },
  virtualTokens: { min: 1, max: 1024, integer: true },
  steps: { min: 1, max: 10_000_000, integer: true },
  batchSize: { min: 1, max: 65_536, integer: true },
  accumulate: { min: 1, max: 65_536, integer: true },
  batchSeed: { min: 0, max: 0xffff_ffff, integer: true },
  learningRate: { min: 0, max: 10, integer: false },
  warmupSteps: { min: 0, max: 10_000_000, integer: true },
  epsilon: { min: 1e-8, max: 10, integer: false },
  rank: { min: 1, max: 256, integer: true },
  refresh: { min: 1, max: 10_000_000, integer: true },
  queries: { min: 1, max: 128, integer: true },
  weightDecay: { min: 0, max: 1, integer: false },
  sparsity: { min: 0, max: 0.999, integer: false },
  hessianSmoothing: { min: 0, max: 1, integer: false },
  adamBeta1: { min: 0, max: 0.999999, integer: false },
  adamBeta2: { min: 0, max: 0.999999, integer: false },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true },
  evaluateEvery: { min: 0, max: 10_000_000, integer: true },
  earlyStopping: { min: 0, max: 10_000_000, integer: true },
  memory: { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true },
  maxRows: { min: 16, max: 1_048_576, integer: true },
};

/** Settings that are lists of names or patterns, their most items, and the characters of the longest. */
const lists: readonly (keyof TrainConfiguration)[] = ['parameters', 'loraTargets'];
export const mostItems = 64;
export const longestItem = 256;

const choices: { [K in keyof TrainConfiguration]?: readonly TrainConfiguration[K][] } = {
  optimizer: Object.keys(ownDefaults) as OptimizerName[],
  scheme: schemeNames,
  sampling: ['with-replacement', 'shuffle'],
  learn: learnChoices,
  schedule: ['constant', 'linear', 'cosine'],
  sides: [1, 2],
  normAlignment: [true, false],
  tensorboard: [true, false],
  mezoUpdate: ['sgd', 'momentum', 'adam'],
  storage: storageNames,
};

/**
 * Fills in the defaults of the optimiser and the scheme and checks every field.
 * @throws SubzeroError `invalid_argument` that names the field, the value that came and the values allowed.
 */
export function resolveConfiguration(partial: Partial<TrainConfiguration>): TrainConfiguration {
  const configuration = defaultsOf(partial.optimizer, partial.scheme);
  for (const [key, value] of Object.entries(partial)) {
    if (value === undefined) continue;
    if (!(key in defaultConfiguration)) {
      throw new SubzeroError('invalid_argument', `unknown training setting "${key}"`, { parameter: key });
    }
    (configuration as unknown as Record<string, unknown>)[key] = value;
  }
  for (const [key, bound] of Object.entries(bounds)) {
    const value = configuration[key as keyof TrainConfiguration];
    if (typeof value !== 'number' || !(value >= bound.min && value <= bound.max)) {
      throw new SubzeroError(
        'invalid_argument',
        `${key} must be between ${bound.min} and ${bound.max}; got ${String(value)}`,
        { parameter: key },
      );
    }
    if (bound.integer && !Number.isInteger(value)) {
      throw new SubzeroError('invalid_argument', `${key} must be a whole number; got ${value}`, { parameter: key });
    }
  }
  for (const key of lists) {
    const value: unknown = configuration[key];
    const fits = (item: unknown) => typeof item === 'string' && item.length > 0 && item.length <= longestItem;
    if (!Array.isArray(value) || value.length > mostItems || !value.every(fits)) {
      throw new SubzeroError(
        'invalid_argument',
        `${key} must be a list of at most ${mostItems} texts of 1 to ${longestItem} characters; got ${JSON.stringify(value)}`,
        { parameter: key },
      );
    }
  }
  for (const [key, allowed] of Object.entries(choices)) {
    const value = configuration[key as keyof TrainConfiguration];
    if (!(allowed as readonly unknown[]).includes(value)) {
      throw new SubzeroError(
        'invalid_argument',
        `${key} must be one of ${allowed.map((choice) => JSON.stringify(choice)).join(', ')}; got ${JSON.stringify(value)}`,
        { parameter: key },
      );
    }
  }
  if (configuration.scheme !== 'full' && configuration.parameters.length > 0) {
    throw new SubzeroError(
      'invalid_argument',
      `parameters chooses among the model's own, which scheme ${configuration.scheme} leaves alone; leave it out, or train with scheme full`,
      { parameter: 'parameters' },
    );
  }
  if (configuration.optimizer === 'hizoo' && configuration.sides !== 2) {
    throw new SubzeroError(
      'invalid_argument',
      'sides must be 2 for hizoo, which estimates the curvature from both sides; got 1',
      { parameter: 'sides' },
    );
  }
  if (configuration.earlyStopping > 0 && configuration.evaluateEvery === 0) {
    throw new SubzeroError(
      'invalid_argument',
      'evaluateEvery must be at least 1 with earlyStopping, which counts evaluations; got 0',
      { parameter: 'evaluateEvery' },
    );
  }
  return configuration;
}
