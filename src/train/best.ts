/**
 * The best step of a run: the one with the lowest validation loss. A checkpoint is a run and a step, so there is
 * nothing else to keep.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { join } from '../platform/index.ts';
import { type MetricsRecord, readMetrics } from './metrics.ts';
import { isRunFolder, runFiles } from './run-folder.ts';

export interface BestEvaluation {
  step: number;
  /** On the validation data. */
  loss: number;
}

/** Follows the evaluations of a run, in the order of their steps. */
export class EvaluationHistory {
  /** The lowest loss so far; of equal ones the first. */
  best: BestEvaluation | undefined;
  /** Evaluations since the best one. */
  sinceBest = 0;
  /** Step of the last evaluation; −1 before the first. */
  lastStep = -1;

  /**
   * The history that a run's metrics tell.
   * @param patientFrom of a fork the step that it began at: what came before may hold the best, and does not try the
   *   fork's patience
   */
  static of(lines: readonly MetricsRecord[], patientFrom = 0): EvaluationHistory {
    const history = new EvaluationHistory();
    for (const { type, step, loss } of lines) {
      if (type !== 'evaluation') continue;
      history.observe(step, typeof loss === 'number' ? loss : Number.NaN);
      if (step <= patientFrom) history.sinceBest = 0;
    }
    return history;
  }

  /** Takes an evaluation in. One that repeats an earlier step, or has no loss that is a number, is never the best. */
  observe(step: number, loss: number): void {
    if (step <= this.lastStep) return;
    this.lastStep = step;
    if (loss < (this.best?.loss ?? Number.POSITIVE_INFINITY)) {
      this.best = { step, loss };
      this.sinceBest = 0;
    } else {
      this.sinceBest++;
    }
  }
}

/** How callers name a step: by its number, or the one with the lowest validation loss. */
export type StepChoice = number | 'best';

/**
 * The number of a step of a run; `undefined` stays so.
 * @throws SubzeroError `invalid_argument` if the folder is no run or the run was never evaluated, or as `readMetrics`
 */
export async function resolveStep(folder: string, step: StepChoice | undefined): Promise<number | undefined> {
  if (step !== 'best') return step;
  if (!(await isRunFolder(folder))) {
    throw new SubzeroError('invalid_argument', `${folder} is a model, not a run; it has no steps`, {
      parameter: 'step',
    });
  }
  const { best } = EvaluationHistory.of(await readMetrics(join(folder, runFiles.metrics)));
  if (!best) {
    throw new SubzeroError(
      'invalid_argument',
      `${folder} has no best step, because it was never evaluated; name a step, or train with validation data`,
      { parameter: 'step' },
    );
  }
  return best.step;
}
