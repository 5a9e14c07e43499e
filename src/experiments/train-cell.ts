/**
 * A cell that is a training run and its evaluation.
 *
 * @module
 */

import type { DataSource } from '../data/source.ts';
import { SubzeroError } from '../errors.ts';
import { join } from '../platform/index.ts';
import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { probePoints } from '../zo/probe-points.ts';
import type { ExperimentRequest, Laboratory } from './experiment.ts';

export interface TrainedCell {
  /** The loss of the validation data after the last step; null where the run failed. */
  loss: number | null;
  /** The accuracy on the same data; null also for data without options. */
  accuracy: number | null;
  steps: number;
  /** Passes over a batch: steps × points of a step. */
  passes: number;
  /** Of training alone. */
  trainSeconds: number;
  /** Whether the loss became no number, or training got stuck. */
  failed: boolean;
}

/** What is evaluated: the validation data, or the task's own. */
export function evaluated({ data, validation }: Pick<ExperimentRequest, 'data' | 'validation'>): DataSource {
  return validation ?? data;
}

/** Trains and evaluates; a run that diverges is a result, too. */
export async function trainCell(
  { engine, request, folder, signal }: Laboratory,
  settings: Partial<TrainConfiguration>,
): Promise<TrainedCell> {
  const run = join(folder, 'run');
  const configuration = resolveConfiguration({ ...request.reading, ...settings });
  const passes = configuration.steps * probePoints(configuration).length;
  const { model, data } = request;
  let trainSeconds = 0;
  let failed = false;
  try {
    const validation = request.validation ? { validation: request.validation } : {};
    for await (const event of engine.train({ model, data, ...validation, configuration, out: run }, signal)) {
      if (event.type !== 'done') continue;
      trainSeconds = event.seconds;
      failed = event.outcome === 'stuck';
    }
  } catch (error) {
    const diverged = error instanceof SubzeroError && /the loss became/.test(error.message);
    if (!diverged) throw error;
    failed = true;
  }
  const shared = { steps: configuration.steps, passes, trainSeconds, failed };
  if (failed || signal.aborted) return { loss: null, accuracy: null, ...shared };
  const id = 'experiment';
  await engine.loadModel({ id, path: run });
  try {
    const limit = request.limit === undefined ? {} : { limit: request.limit };
    const { loss, accuracy } = await engine.evaluate(
      { ...request.reading, model: id, data: evaluated(request), ...limit },
      undefined,
      signal,
    );
    return { loss, accuracy, ...shared };
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
