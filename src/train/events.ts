/**
 * What a training run, an evaluation and a search for a learning rate tell while they go on.
 *
 * @module
 */

import type { DataSummary } from '../data/summary.ts';
import type { BestEvaluation } from './best.ts';
import type { MemoryPlan } from './memory-plan.ts';
import type { ReadingEvent } from './reading-clock.ts';
import type { WarningCode } from './watchdog.ts';

export interface EvaluationResult {
  examples: number;
  /** NaN where no example has an answer to take it of. */
  loss: number;
  /**
   * Share of examples whose best option is the label, or whose chosen answer has the higher reward; `null` for
   * completions.
   */
  accuracy: number | null;
  /** SQuAD's token F1 of generated answers, mean over the examples; `null` for data that declares none. */
  f1: number | null;
  /** Share of generated answers that are one of the right ones, up to case, punctuation and articles; `null` as F1. */
  exactMatch: number | null;
  tokens: number;
  seconds: number;
  /** Examples that were too long for the model and lost the start of their prompt; absent if there are none. */
  truncated?: number;
  /** Means of what the objective measures beside the loss, by name (`rewardMargin`, `drift`); absent if nothing is. */
  measures?: Record<string, number>;
}

/** Who scores shards of a run that several machines train, over the time since the last report. */
export interface ClusterMember {
  name: string;
  adapter: string;
  /** Whether it is the process that leads the run. */
  here: boolean;
  /** Shards scored and used since the run was taken up. */
  shards: number;
  /** Its part of the run's steps a second: those of all members add up to the run's. */
  stepsPerSecond: number;
  /** Tokens of its shards by the time that passed, waiting included. */
  tokensPerSecond: number;
  /** Steps since the last that it scored a shard of; grows while it is away. */
  lag: number;
  /** Share of the time in which it scored nothing that was used, 0…1. */
  waitingShare: number;
  /** Bytes of its tasks, answers and their confirmations, by the run's steps; 0 for the one that leads. */
  bytesPerStep: number;
  /** Whether its trained state was told to differ from the leader's. */
  differs: boolean;
  /** Answers that were refused. */
  refused: number;
}

export type TrainEvent =
  | ReadingEvent
  | {
      type: 'start';
      run: string;
      step: number;
      steps: number;
      examples: number;
      plan: MemoryPlan;
      /** The summary of the training data. */
      data: DataSummary;
    }
  | {
      type: 'step';
      step: number;
      steps: number;
      /** Mean over the step's perturbed passes. */
      loss: number;
      /** Share of the batch's examples answered rightly; null for completions. */
      accuracy: number | null;
      /** Means of what the objective measures beside the loss, by name; absent if nothing is. */
      measures?: Record<string, number>;
      /** ρ, the mean over the queries. */
      projectedGradient: number;
      learningRate: number;
      tokensPerSecond: number;
      elapsedSeconds: number;
      etaSeconds: number;
      trainedTokens: number;
      /** ‖dropped‖ / ‖kept‖ of the change that a bank keeps, from its first period's end on; absent without one. */
      droppedShare?: number;
    }
  | ({ type: 'evaluation'; step: number } & EvaluationResult)
  /** About every two seconds of a run that a cluster trains, and of the whole time at its end. */
  | {
      type: 'cluster';
      step: number;
      stepsPerSecond: number;
      /** Everything that the leader sends and receives. */
      bytesPerStep: number;
      members: ClusterMember[];
    }
  /** A step belongs to what was noticed at it, a code to what a program may want to act upon. */
  | { type: 'message'; level: 'info' | 'warn' | 'error'; message: string; step?: number; code?: WarningCode }
  | {
      type: 'done';
      run: string;
      step: number;
      /**
       * `finished` = all steps done, or ended by early stopping; `stopped` = cancelled or paused, can be resumed;
       * `stuck` = it can no longer learn, and was given up or had done all of its steps so.
       */
      outcome: 'finished' | 'stopped' | 'stuck';
      /** Why a run finished before its last step, or is stuck, in words; `null` otherwise. */
      reason: string | null;
      /** The evaluation with the lowest validation loss; `null` if there was none. */
      best: BestEvaluation | null;
      trainedTokens: number;
      seconds: number;
    };

/** What a search for a learning rate tells. */
export type FindEvent =
  | ReadingEvent
  | {
      type: 'start';
      learningRates: number[];
      trialSteps: number;
      /** The loss before training, and the examples that it is taken over. */
      loss: number;
      examples: number;
      /** Whether these are training examples kept apart, for want of validation data. */
      heldOut: boolean;
    }
  | {
      type: 'trial';
      learningRate: number;
      /** After the trial; `null` if it diverged or got stuck. */
      loss: number | null;
      diverged: boolean;
      /** Why it cannot learn any more, in words; `null` if it can. */
      stuck: string | null;
      /** Steps done. */
      steps: number;
      seconds: number;
    }
  | {
      type: 'suggestion';
      /** That of the lowest loss; `null` if no trial lowered it. */
      learningRate: number | null;
      loss: number | null;
    };
