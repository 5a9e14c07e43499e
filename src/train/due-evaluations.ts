/**
 * The evaluations of a run: when one is due, and when they say that it shall end.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import { formatFixed, plural } from '../format.ts';
import type { Model } from '../model/model.ts';
import type { ExampleLoss } from '../objectives/loss.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { objectives } from '../settings/objectives.ts';
import { parameter, words } from '../words.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import { withAnswers } from './answering.ts';
import type { EvaluationHistory } from './best.ts';
import { type EvaluateOptions, evaluate, wantsAnswers } from './evaluate.ts';
import type { EvaluationResult, TrainEvent } from './events.ts';
import type { RewardScorer } from './rewards.ts';
import type { Scorer } from './score.ts';

/** What is evaluated, and on what. */
export interface EvaluatedRun {
  model: Model;
  optimizer: ZerothOrderOptimizer;
  scorer: Scorer;
  configuration: TrainConfiguration;
  validation: readonly TokenizedExample[];
  lossOf: ExampleLoss;
  /** Grades generated answers instead of scoring given ones. */
  rewards?: Pick<RewardScorer, 'evaluate'> | undefined;
  /** The evaluations so far. */
  history: EvaluationHistory;
}

export class DueEvaluations {
  readonly #run: EvaluatedRun;

  constructor(run: EvaluatedRun) {
    this.#run = run;
  }

  /** Every so many steps, and behind the last one. @param step steps done */
  isDue(step: number): boolean {
    const { configuration, validation, history } = this.#run;
    const { evaluateEvery, steps } = configuration;
    const due = step >= steps || (step > 0 && evaluateEvery > 0 && step % evaluateEvery === 0);
    return due && validation.length > 0 && history.lastStep < step;
  }

  /**
   * Evaluates, if it is time to. The signal ends it without a result: what is due is done when the run is resumed.
   * @param step steps done
   */
  async make(
    step: number,
    signal: AbortSignal | undefined,
  ): Promise<Extract<TrainEvent, { type: 'evaluation' }> | undefined> {
    if (!this.isDue(step) || signal?.aborted) return undefined;
    let result: EvaluationResult;
    try {
      result = await this.#evaluate(signal);
    } catch (error) {
      if (error instanceof SubzeroError && error.code === 'cancelled') return undefined;
      throw error;
    }
    this.#run.history.observe(step, result.loss);
    return { type: 'evaluation', step, ...result };
  }

  async #evaluate(signal: AbortSignal | undefined): Promise<EvaluationResult> {
    const { model, optimizer, scorer, validation, lossOf, rewards } = this.#run;
    if (rewards) return rewards.evaluate(validation, optimizer.current);
    const options: EvaluateOptions = { maxRows: scorer.maxRows, lossOf, ...(signal ? { signal } : {}) };
    if (!wantsAnswers(validation)) return evaluate(scorer, validation, optimizer.current, options);
    return withAnswers(
      model,
      () => optimizer.current,
      signal,
      (answer) => evaluate(scorer, validation, optimizer.current, { ...options, answer }),
    );
  }

  /** Why the run shall end before its last step; `undefined` if it shall not. */
  get earlyStop(): string | undefined {
    const {
      configuration,
      history: { best, sinceBest },
    } = this.#run;
    const { earlyStopping } = configuration;
    if (earlyStopping === 0 || sinceBest < earlyStopping) return undefined;
    // With an anchor the loss is more than minus the reward.
    const isReward = (objectives[configuration.objective].generates ?? false) && configuration.anchor === 0;
    const [wanted, extreme] = isReward ? ['higher reward', 'highest'] : ['lower validation loss', 'lowest'];
    const value = best && formatFixed(isReward ? -best.loss : best.loss);
    const known = best ? `; the ${extreme} was ${value} at step ${best.step}` : '';
    return `early stopping: no ${wanted} in the last ${plural(sinceBest, 'evaluation')}${known}`;
  }
}

/** @throws SubzeroError `invalid_argument` if the run is to be ended by evaluations that it cannot make */
export function checkValidation({ earlyStopping }: TrainConfiguration, validation: readonly TokenizedExample[]): void {
  if (earlyStopping === 0 || validation.length > 0) return;
  const stopping = parameter('earlyStopping');
  throw new SubzeroError(
    'invalid_argument',
    words`${stopping} needs validation data, which this run does not have; name some, or leave ${stopping} out`,
    { parameter: 'earlyStopping' },
  );
}
