/**
 * What a killed server did not get to announce: steps that are in the run folder and not yet among the job's events.
 *
 * @module
 */

import type { TrainEvent } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import { type MetricsRecord, readMetrics } from '../../src/train/metrics.ts';

export type MetricsEvent = Extract<TrainEvent, { type: 'step' | 'evaluation' | 'message' }> & { step: number };

/**
 * The events of a run's metrics file beyond what was announced, in order. Their `trainedTokens` count from the last
 * announced step on.
 *
 * @param announced the last announced step
 * @param last the step at which the run goes on
 * @param evaluated whether an evaluation at that step was announced
 */
export async function unannouncedEvents(
  metricsFile: string,
  announced: number,
  last: number,
  evaluated: boolean,
): Promise<MetricsEvent[]> {
  let records: MetricsRecord[];
  try {
    records = await readMetrics(metricsFile);
  } catch (error) {
    // Without the file the steps are still in the journal, and training goes on; only their numbers are not shown.
    if (error instanceof SubzeroError) return [];
    throw error;
  }
  const events: MetricsEvent[] = [];
  let counted = 0;
  let tokens = 0;
  for (const record of records as unknown as MetricsEvent[]) {
    if (record.type === 'step') {
      // The file counts from the start of each process.
      const own = record.trainedTokens > counted ? record.trainedTokens - counted : record.trainedTokens;
      counted = record.trainedTokens;
      if (record.step <= announced || record.step > last) continue;
      tokens += own;
      events.push({ ...record, trainedTokens: tokens });
    } else if (record.step > announced || (record.type === 'evaluation' && record.step === announced && !evaluated)) {
      if (record.step > 0 && record.step <= last) events.push(record);
    }
  }
  return events;
}
