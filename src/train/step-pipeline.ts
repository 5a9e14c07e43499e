/**
 * The evaluations of a run, one step after the other, each ready when the losses of the one before it arrive: while the
 * GPU works on those, the update that they decide and the next evaluation are recorded and encoded, all but a few
 * numbers.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { AppliedStep } from '../zo/optimizer.ts';
import {
  type EvaluatedRun,
  type EvaluationAhead,
  evaluateAhead,
  evaluateStep,
  type StepEvaluation,
} from './step-evaluation.ts';

/** What a step evaluates. */
export interface StepBatch {
  /** The examples by their numbers. */
  rows: readonly number[];
  batch: readonly TokenizedExample[];
}

/** The steps of a run; all zero-based. */
export interface Course {
  batchOf(step: number): StepBatch;
  learningRateOf(step: number): number;
  /**
   * Whether a step follows on the one before it with nothing in between. What is true may become false only with the
   * end of the run.
   */
  follows(step: number): boolean;
}

/** A step that the GPU evaluates. */
interface BegunStep {
  of: StepBatch;
  evaluating: Promise<StepEvaluation>;
}

export class StepPipeline {
  readonly #run: EvaluatedRun;
  readonly #course: Course;
  #begun: BegunStep | undefined;
  /** The evaluation after the one that the GPU is at. */
  #next: { of: StepBatch; ahead: EvaluationAhead } | undefined;

  constructor(run: EvaluatedRun, course: Course) {
    this.#run = run;
    this.#course = course;
  }

  /** What the GPU sees of a step; it may be at it already. */
  async at(step: number): Promise<StepBatch & StepEvaluation> {
    this.#begun ??= this.#evaluateStep(step);
    const { of, evaluating } = this.#begun;
    return { ...of, ...(await evaluating) };
  }

  /**
   * Moves the weights by the numbers of the step that was looked at last. If the next one follows on it, the GPU begins
   * with that; where the run ends they may stay where they are.
   */
  async apply(applied: AppliedStep): Promise<void> {
    const { optimizer, gpu } = this.#run;
    const step = applied.step + 1;
    const next = this.#next;
    this.#begun = this.#next = undefined;
    const follows = this.#course.follows(step);
    if (next) {
      if (follows) this.#begun = this.#begin(step, next.of, (meanwhile) => next.ahead.send(applied, meanwhile));
      return;
    }
    optimizer.update(applied);
    if (follows) this.#begun = this.#evaluateStep(step);
    else await gpu.recorder.flush();
  }

  /** Waits until the GPU is done with an evaluation that nobody wants any more. */
  async settle(): Promise<void> {
    await Promise.allSettled([this.#begun?.evaluating]);
  }

  #evaluateStep(step: number): BegunStep {
    const of = this.#course.batchOf(step);
    return this.#begin(step, of, (meanwhile) => evaluateStep(this.#run, of.batch, step, meanwhile));
  }

  #begin(step: number, of: StepBatch, evaluate: (meanwhile: () => void) => Promise<StepEvaluation>): BegunStep {
    const evaluating = evaluate(() => this.#prepare(step));
    // A failure is that of the step whose turn comes later, if at all.
    evaluating.catch(() => {});
    return { of, evaluating };
  }

  /** Records what follows on a step. */
  #prepare(step: number): void {
    if (!this.#course.follows(step + 1)) return;
    const of = this.#course.batchOf(step + 1);
    const ahead = evaluateAhead(this.#run, of.batch, { step, learningRate: this.#course.learningRateOf(step) });
    this.#next = ahead && { of, ahead };
  }
}
