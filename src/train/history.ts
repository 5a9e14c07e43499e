/**
 * What a run has to show of its steps so far: the metrics of the steps that its journal holds, made whole where the
 * process ended between a step's record and its line.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { StepRecord } from '../zo/journal.ts';
import { type MetricsRecord, openMetrics, readMetrics, truncateMetrics } from './metrics.ts';
import { mean } from './step-evaluation.ts';

/** Cuts a metrics file to the steps of the journal. @returns and throws as {@link metricsOf} */
export async function takeUpMetrics(file: string, lastStep: number): Promise<MetricsRecord[]> {
  await truncateMetrics(file, lastStep);
  return await metricsOf(file);
}

/**
 * The lines of a metrics file; none if there is no file.
 * @throws SubzeroError `io`, or `invalid_data` that names the line
 */
export async function metricsOf(file: string): Promise<MetricsRecord[]> {
  try {
    return await readMetrics(file);
  } catch (error) {
    if (error instanceof SubzeroError && error.code === 'not_found') return [];
    throw error;
  }
}

/**
 * Appends the lines of steps that the journal holds and the metrics lack. They say what the journal knows; accuracy and
 * times are `null`.
 *
 * @param file of the metrics
 * @param lines the metrics as they are
 * @param records the journal's
 * @param rowsOf rows of a step's batch, which `trainedTokens` counts. @see TrainEvent
 */
export async function restoreLines(
  file: string,
  lines: readonly MetricsRecord[],
  records: readonly StepRecord[],
  { steps, rowsOf }: { steps: number; rowsOf: (step: number) => number },
): Promise<void> {
  const last = lines.findLast(({ type }) => type === 'step');
  let trainedTokens = Number(last?.trainedTokens ?? 0);
  const writer = await openMetrics(file);
  try {
    for (const { step, loss, learningRate, projectedGradients } of records.slice(last?.step ?? 0)) {
      trainedTokens += rowsOf(step - 1);
      await writer.append({
        type: 'step',
        step,
        steps,
        loss,
        accuracy: null,
        projectedGradient: mean(projectedGradients),
        learningRate,
        tokensPerSecond: null,
        elapsedSeconds: null,
        etaSeconds: null,
        trainedTokens,
      });
    }
  } finally {
    await writer.close();
  }
}
