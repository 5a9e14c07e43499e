/**
 * Notices runs that have gone wrong without a NaN.
 *
 * @module
 */

import type { TrainConfiguration } from '../settings/configuration.ts';
import { objectives } from '../settings/objectives.ts';
import { causeOfNoise, largestDifference, type Observation, SlopeWatch } from './slope.ts';

/** Steps whose mean loss is what the run began with. */
const firstSteps = 20;

/** Weight of a new loss in the running mean: about 20 steps count. */
const newWeight = 0.05;

/** The running mean at this multiple of the beginning's is no longer noise. */
const spikeFactor = 2;

/**
 * Losses of one batch this close to each other, as a share of them, differ by four units in the last place of f32 or
 * less.
 */
const noiseShare = 4 * 2 ** -23;

/** Steps in a row with the same number at all points, after which an objective of few values is said to see nothing. */
const blindSteps = 50;

/** Steps of which most must be noise. */
const noiseSteps = 20;

/** Learning rates below this change no weight and no loss in f32. */
const idleLearningRate = 1e-12;

export type WarningCode = 'no_slope' | 'rising_loss' | 'noise' | 'idle_learning_rate';

/** Something to tell the user. */
export interface Warning {
  code: WarningCode;
  message: string;
}

/** Settings that decide what is unusual. */
type WatchedSettings = Pick<TrainConfiguration, 'epsilon' | 'sides'> & Partial<Pick<TrainConfiguration, 'objective'>>;

/** What can be told before the first step. */
export function idleLearningRateWarning({
  learningRate,
}: Pick<TrainConfiguration, 'learningRate'>): Warning | undefined {
  if (learningRate >= idleLearningRate) return undefined;
  const least = `${idleLearningRate} is the least that can`;
  const message = `the learning rate is ${learningRate}: no step will change anything. ${least}`;
  return { code: 'idle_learning_rate', message };
}

/** Depends on the steps alone, so that a run that was interrupted is judged as one that was not. */
export class LossWatchdog {
  readonly #settings: WatchedSettings;
  readonly slope: SlopeWatch;
  #count = 0;
  /** Mean loss of the first steps. */
  #beginning = 0;
  #firstLoss = 0;
  #recent = 0;
  /** The last steps: whether their losses differed by rounding alone. */
  readonly #noise: boolean[] = [];
  readonly #told = new Set<WarningCode>();
  /** Steps in a row that saw the same number at all points. */
  #blind = 0;

  constructor(settings: WatchedSettings) {
    this.#settings = settings;
    this.slope = new SlopeWatch(settings);
  }

  /** Where values are few, equal ones are no sign of trouble for a while, and neither is a mean that jumps. */
  #observeDiscrete(projectedGradients: readonly number[]): Warning | undefined {
    this.#blind = projectedGradients.every((rho) => rho === 0) ? this.#blind + 1 : 0;
    if (this.#blind < blindSteps || this.#told.has('no_slope')) return undefined;
    this.#told.add('no_slope');
    return {
      code: 'no_slope',
      message:
        `${blindSteps} steps in a row saw the same value at all points and moved nothing; more examples a step, a ` +
        'finer grader, a temperature above 0 or a larger ε make points differ',
    };
  }

  /**
   * Looks at a finished step.
   * @param uniformOf the `uniformLoss` of its examples, asked for where it decides
   * @returns what to tell the user, once per kind of trouble; undefined if all is well
   */
  observe(observation: Observation, uniformOf: () => number): Warning | undefined {
    const { loss, projectedGradients } = observation;
    if (objectives[this.#settings.objective ?? 'auto'].discrete) return this.#observeDiscrete(projectedGradients);
    this.#count++;
    if (this.#count === 1) this.#firstLoss = this.#recent = loss;
    else this.#recent += newWeight * (loss - this.#recent);
    if (this.#count <= firstSteps) this.#beginning += (loss - this.#beginning) / this.#count;
    this.slope.observe(observation, uniformOf);
    const difference = largestDifference(projectedGradients, this.#settings);
    this.#noise.push(difference > 0 && difference <= noiseShare * loss);
    if (this.#noise.length > noiseSteps) this.#noise.shift();

    const { reason } = this.slope;
    if (reason !== undefined) return this.#tell('no_slope', () => `step ${observation.step}: ${reason}`);
    if (this.#noise.length === noiseSteps && this.#noise.filter((noise) => noise).length > noiseSteps / 2) {
      return this.#tell(
        'noise',
        () => `step ${observation.step}: ρ is the noise of rounding; ${causeOfNoise(this.#settings)}`,
      );
    }
    if (this.#count > firstSteps && this.#risen(uniformOf)) {
      return this.#tell(
        'rising_loss',
        () =>
          `step ${observation.step}: the loss has risen from ` +
          `${Math.min(this.#firstLoss, this.#beginning).toFixed(3)} to about ${this.#recent.toFixed(3)}; the ` +
          'learning rate is probably too high.',
      );
    }
    return undefined;
  }

  #risen(uniformOf: () => number): boolean {
    if (this.#recent > spikeFactor * this.#beginning) return true;
    // A run that went wrong among the first steps has a high beginning; worse than knowing nothing it is all the same.
    if (!(this.#recent > spikeFactor * this.#firstLoss) || this.#told.has('rising_loss')) return false;
    return this.#recent > spikeFactor * uniformOf();
  }

  #tell(code: WarningCode, message: () => string): Warning | undefined {
    if (this.#told.has(code)) return undefined;
    this.#told.add(code);
    return { code, message: message() };
  }
}
