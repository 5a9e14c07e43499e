/**
 * The metrics of a finished job as a CSV file, the result file of OpenAI's fine-tuning.
 *
 * @module
 */

import type { Store } from '../store.ts';

const columns = [
  'step',
  'train_loss',
  'train_accuracy',
  'learning_rate',
  'projected_gradient',
  'valid_loss',
  'valid_accuracy',
] as const;

const pageSize = 1000;

/** One line a step, in order; the evaluation at a step stands on the line of that step. */
export function metricsCsv(store: Store, jobId: string): string {
  const rows = new Map<number, Record<string, unknown>>();
  let after = 0;
  for (let more = true; more; ) {
    const page = store.events(jobId, { after, limit: pageSize, order: 'asc' });
    for (const { type, data, sequence } of page.data) {
      after = sequence;
      if (type !== 'metrics' || typeof data?.step !== 'number') continue;
      // A run that started over repeats steps: the later record is the one that counts.
      rows.set(data.step, { ...rows.get(data.step), ...data });
    }
    more = page.hasMore;
  }
  const lines = [...rows.values()]
    .sort((a, b) => Number(a.step) - Number(b.step))
    .map((row) => columns.map((column) => row[column] ?? '').join(','));
  return `${[columns.join(','), ...lines].join('\n')}\n`;
}
