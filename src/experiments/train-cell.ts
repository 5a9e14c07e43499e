/**
 * A cell that is a training run and its evaluation.
 *
 * @module
 */

import type { DataSource } from '../data/source.ts';
import { SubzeroError } from '../errors.ts';
import { join } from '../platform/index.ts';
import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import type { TrainEvent } from '../train/events.ts';
import { probePoints } from '../zo/probe-points.ts';
import type { ExperimentRequest, Laboratory } from './experiment.ts';
import { trainingRows } from './training-rows.ts';

export interface TrainedCell {
  /** The loss of the validation data after the last step; null where the run failed. */
  loss: number | null;
  /** The accuracy on the same data; null also for data without options. */
  accuracy: number | null;
  steps: number;
  /** Passes over a batch: steps × points of a step. */
  passes: number;
  /** Time of training alone. */
  trainSeconds: number;
  /** Whether the loss became no number, or training got stuck. */
  failed: boolean;
}

/** What is evaluated: the validation data, or the task's own. */
export function evaluated({ data, validation }: Pick<ExperimentRequest, 'data' | 'validation'>): DataSource {
  return validation ?? data;
}

/** Trains and evaluates; a run that diverges is a result, too. */
export async function trainCell(laboratory: Laboratory, settings: Partial<TrainConfiguration>): Promise<TrainedCell> {
  const { engine, request, signal } = laboratory;
  const { run, validationLoss: _, ...shared } = await trainRun(laboratory, { data: request.data }, settings);
  if (shared.failed || signal.aborted) return { loss: null, accuracy: null, ...shared };
  return withModel(laboratory, run, async (model) => {
    const limit = request.limit === undefined ? {} : { limit: request.limit };
    const { loss, accuracy } = await engine.evaluate(
      { ...request.reading, model, data: evaluated(request), ...limit },
      undefined,
      signal,
    );
    return { loss, accuracy, ...shared };
  });
}

/** A run in the cell's folder, and what it took. */
export interface TrainedRun extends Pick<TrainedCell, 'steps' | 'passes' | 'trainSeconds' | 'failed'> {
  /** Its folder. */
  run: string;
  /** The loss of the validation data after the last step; null without such data, and where the run failed. */
  validationLoss: number | null;
}

/**
 * Trains, and evaluates the validation data behind the last step, or as often as the settings say. A run that diverges
 * or gets stuck is a result, too.
 * @param onEvent is told what the run says
 */
export async function trainRun(
  laboratory: Laboratory,
  { data: given, validation }: { data: DataSource; validation?: DataSource | undefined },
  settings: Partial<TrainConfiguration>,
  onEvent?: (event: TrainEvent) => void,
): Promise<TrainedRun> {
  const { engine, request, folder, signal } = laboratory;
  const run = join(folder, 'run');
  const configuration = resolveConfiguration({ evaluateEvery: 0, ...request.reading, ...settings });
  // Validation rows that nobody asked for would take more time than a short run.
  const data = validation ? given : await trainingRows(laboratory, given);
  const passes = configuration.steps * probePoints(configuration).length;
  const { model } = request;
  let [trainSeconds, evaluationSeconds] = [0, 0];
  let failed = false;
  let validationLoss: number | null = null;
  try {
    const held = validation ? { validation } : {};
    for await (const event of engine.train({ model, data, ...held, configuration, out: run }, signal)) {
      onEvent?.(event);
      if (event.type === 'evaluation') {
        validationLoss = event.loss;
        evaluationSeconds += event.seconds;
      }
      if (event.type !== 'done') continue;
      trainSeconds = event.seconds - evaluationSeconds;
      failed = event.outcome === 'stuck';
    }
  } catch (error) {
    if (!hasDiverged(error)) throw error;
    failed = true;
  }
  if (failed) validationLoss = null;
  return { run, validationLoss, steps: configuration.steps, passes, trainSeconds, failed };
}

/** Whether a run ended because its loss became no number. */
export function hasDiverged(error: unknown): boolean {
  return error instanceof SubzeroError && /the loss became/.test(error.message);
}

/** Loads a model or a run for as long as something is done with it. */
export async function withModel<T>(
  { engine }: Pick<Laboratory, 'engine'>,
  path: string,
  use: (id: string) => Promise<T>,
): Promise<T> {
  const id = 'experiment';
  await engine.loadModel({ id, path });
  try {
    return await use(id);
  } finally {
    await engine.unloadModel(id);
  }
}

/** What a result is judged by: accuracy where there is one, or minus the loss; NaN of a run that failed. */
export function score({ accuracy, loss }: TrainedCell): number {
  return accuracy ?? (loss === null ? Number.NaN : -loss);
}

/** The name of what {@link score} is. */
export function scoreName(results: readonly TrainedCell[]): string {
  return results.some(({ accuracy }) => accuracy !== null) ? 'accuracy' : '− loss';
}
