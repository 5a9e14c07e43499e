/**
 * Everything that decides what a training run computes. The journal's header stores it; two runs with equal
 * configuration, base model, data and adapter make equal bits.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

export type OptimizerName = 'subzero';
export type SchemeName = 'full';
export type LearningRateSchedule = 'constant' | 'linear' | 'cosine';

export interface TrainConfiguration {
  optimizer: OptimizerName;
  /** Which parameters train. */
  scheme: SchemeName;
  steps: number;
  /** Examples per step, drawn with replacement by (seed, step). */
  batchSize: number;
  /** η of methods.md §1. */
  learningRate: number;
  schedule: LearningRateSchedule;
  warmupSteps: number;
  /** ε, the scale of the perturbation. */
  epsilon: number;
  /** r, columns of U and V; clipped to the smaller side of each matrix. */
  rank: number;
  /** F, steps between two draws of U and V. */
  refresh: number;
  /** K, directions averaged per step. */
  queries: number;
  /** 2 = central difference, 1 = forward difference against the unperturbed loss. */
  sides: 1 | 2;
  /** μ = sqrt(mn)/r when true, 1 when false. */
  normAlignment: boolean;
  /** Decoupled weight decay on 2-D parameters. */
  weightDecay: number;
  seed: number;
  /** Storage of the trained weights; `auto` = see WeightStorage. */
  storage: 'auto' | 'f32' | 'f16' | 'bf16';
  /** Evaluate on the validation data every so many steps; 0 = only at the end. */
  evaluateEvery: number;
  /** Upper limit of rows (tokens × probes) of one forward pass; larger steps run in several. */
  maxRows: number;
}

export const defaultConfiguration: TrainConfiguration = {
  optimizer: 'subzero',
  scheme: 'full',
  steps: 1000,
  batchSize: 16,
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
  seed: 0,
  storage: 'auto',
  evaluateEvery: 0,
  maxRows: 8192,
};

const bounds: Partial<Record<keyof TrainConfiguration, { min: number; max: number; integer: boolean }>> = {
  steps: { min: 1, max: 10_000_000, integer: true },
  batchSize: { min: 1, max: 65_536, integer: true },
  learningRate: { min: 0, max: 10, integer: false },
  warmupSteps: { min: 0, max: 10_000_000, integer: true },
  epsilon: { min: 1e-8, max: 10, integer: false },
  rank: { min: 1, max: 256, integer: true },
  refresh: { min: 1, max: 10_000_000, integer: true },
  queries: { min: 1, max: 128, integer: true },
  weightDecay: { min: 0, max: 1, integer: false },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true },
  evaluateEvery: { min: 0, max: 10_000_000, integer: true },
  maxRows: { min: 16, max: 1_048_576, integer: true },
};

const choices: { [K in keyof TrainConfiguration]?: readonly TrainConfiguration[K][] } = {
  optimizer: ['subzero'],
  scheme: ['full'],
  schedule: ['constant', 'linear', 'cosine'],
  sides: [1, 2],
  normAlignment: [true, false],
  storage: ['auto', 'f32', 'f16', 'bf16'],
};

/**
 * Fills in defaults and checks every field.
 * @throws SubzeroError `invalid_argument` that names the field, the value that came and the values allowed.
 */
export function resolveConfiguration(partial: Partial<TrainConfiguration>): TrainConfiguration {
  const configuration: TrainConfiguration = { ...defaultConfiguration };
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
  return configuration;
}
