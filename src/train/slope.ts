/**
 * Notices that the losses of a step no longer say anything about the weights: without a slope a run learns nothing,
 * however long it goes on.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';

/** Steps in a row without a slope that are no accident: two equal sums of f32 happen, twice in a row they do not. */
const suspiciousSteps = 2;

/** Steps in a row without a slope after which a run is given up. */
export const hopelessSteps = 20;

/** f32 sums closer together than this share of them differ by rounding alone. */
const roundingShare = 1e-6;

/**
 * A loss below this is as low as f32 log-probabilities can say: these examples have no slope because they are
 * learnt.
 */
const learntLoss = 1e-5;

/** ε below this is far from what any published setting needs. */
const smallEpsilon = 1e-5;

/** What a step saw. */
export interface Observation {
  /** From 1. */
  step: number;
  /** Mean over the points. */
  loss: number;
  /** ρ by query. */
  projectedGradients: readonly number[];
  learningRate: number;
}

/** What the steps so far have come to. */
interface State {
  /** Steps without a slope up to here, in a row. */
  flat: number;
  /** The first of them, and what it saw. */
  first: Observation | undefined;
  /** Whether its loss was that of a uniform guess. */
  uniform: boolean;
  /** The loss of the last step at which it depended on the weights, if only by rounding. */
  steep: number | undefined;
}

/**
 * The loss of a model to which all tokens, and so all options, are equally likely. Its parts count as in `meanOf`.
 * @param vocabularySize rows of the model's head
 * @returns in nats: ln(options) for an example with options, ln(vocabulary) for a completion, their mean for many; NaN
 * where there is no such loss, as of preferences, which begin with that of a guess
 */
export function uniformLoss(examples: readonly TokenizedExample[], vocabularySize: number): number {
  const choices = ({ kind, continuations }: TokenizedExample): number =>
    kind === 'preference' || kind === 'prompt'
      ? Number.NaN
      : kind === 'completion'
        ? vocabularySize
        : continuations.length;
  return examples.reduce((sum, example) => sum + Math.log(choices(example)), 0) / examples.length;
}

/** Whether a loss is that of a uniform guess, up to rounding. */
export function isUniform(loss: number, uniform: number): boolean {
  return Math.abs(loss - uniform) <= roundingShare * uniform;
}

/** The largest difference of losses that a step saw between the points of a query. */
export function largestDifference(
  projectedGradients: readonly number[],
  { epsilon, sides }: Pick<TrainConfiguration, 'epsilon' | 'sides'>,
): number {
  return projectedGradients.reduce((most, rho) => Math.max(most, Math.abs(rho)), 0) * epsilon * sides;
}

export class SlopeWatch {
  readonly #settings: Pick<TrainConfiguration, 'epsilon' | 'sides'>;
  #step = 0;
  /** Before the last observed step, so that it can be observed again. */
  #before: State = { flat: 0, first: undefined, uniform: false, steep: undefined };
  #state: State = this.#before;

  constructor(settings: Pick<TrainConfiguration, 'epsilon' | 'sides'>) {
    this.#settings = settings;
  }

  /**
   * Takes a step in. One that was taken in last is replaced.
   * @param uniformOf the {@link uniformLoss} of the step's examples; asked for where it decides
   */
  observe(observation: Observation, uniformOf: () => number): void {
    const { step, loss, projectedGradients } = observation;
    if (step !== this.#step) this.#before = this.#state;
    this.#step = step;
    const difference = largestDifference(projectedGradients, this.#settings);
    const { flat, first, steep } = this.#before;
    if (difference > roundingShare * loss) {
      this.#state = { flat: 0, first: undefined, uniform: false, steep: loss };
      return;
    }
    // Learnt examples say nothing about the others.
    if (loss < learntLoss) {
      this.#state = this.#before;
      return;
    }
    const uniform = isUniform(loss, uniformOf());
    if (difference > 0 && !uniform) this.#state = { flat: 0, first: undefined, uniform: false, steep: loss };
    else this.#state = { flat: flat + 1, first: first ?? observation, uniform, steep };
  }

  /** Forgets the row of steps without a slope: other settings or data follow. */
  restart(): void {
    this.#state = { ...this.#state, flat: 0, first: undefined };
  }

  /** Steps without a slope, in a row. */
  get flatSteps(): number {
    return this.#state.flat;
  }

  /** Whether the run is to be given up. */
  get hopeless(): boolean {
    return this.#state.flat >= hopelessSteps;
  }

  /** Why the run cannot learn, in words, and what to do; `undefined` while there is no sign of it. */
  get reason(): string | undefined {
    const { flat, first, uniform } = this.#state;
    if (flat < suspiciousSteps || !first) return undefined;
    const at = uniform ? ` and the loss is that of a guess among equals (${first.loss.toFixed(4)})` : '';
    return `the run can no longer learn: ρ has been 0 since step ${first.step}${at}. ${this.#cause(first, uniform)}`;
  }

  #cause({ step, loss, learningRate }: Observation, uniform: boolean): string {
    const { epsilon } = this.#settings;
    const { steep } = this.#state;
    const risen = steep !== undefined && loss > 2 * steep;
    if (!uniform && !risen && epsilon < smallEpsilon) return causeOfNoise(this.#settings);
    if (steep !== undefined) {
      const plain = (value: number): number => Number(value.toPrecision(3));
      return (
        'The weights have left what f32 can tell apart, most likely because the learning rate ' +
        `(${plain(learningRate)}) is too high. Begin again, or go on from well before step ${step}, with ` +
        `${plain(learningRate / 10)} or less`
      );
    }
    return uniform
      ? 'It was so from the beginning: the model is damaged (weights of 0, or a run that diverged), ' +
          'or all options of an example are the same tokens'
      : `It was so from the beginning: ${causeOfNoise(this.#settings)}`;
  }
}

/** Why losses at both ends of ε do not differ, in words, if not because of what a run did. */
export function causeOfNoise({ epsilon }: Pick<TrainConfiguration, 'epsilon'>): string {
  return epsilon < smallEpsilon
    ? `ε = ${epsilon} is too small to change the loss in f32; 0.001 is usual`
    : 'none of the parameters that train changes the loss of these examples';
}
