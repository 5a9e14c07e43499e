/**
 * The metrics of a finished job as a CSV file, the result file of OpenAI's fine-tuning.
 *
 * @module
 */

import type { Store } from '../store.ts';

/** The columns of every job; what its objective measures follows, under the names that its events have. */
const columns = [
  'step',
  'train_loss',
  'train_accuracy',
  'learning_rate',
  'projected_gradient',
  'valid_loss',
  'valid_accuracy',
] as const;

/** What an objective measures has the names of its group, as losses have, which are columns already. */
const measureName = /^(train|valid)_(?!loss$|accuracy$|f1$|exact_match$)/;

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
  const values = [...rows.values()];
  const measures = [...new Set(values.flatMap((row) => Object.keys(row)))].filter((name) => measureName.test(name));
  const names = [...columns, ...measures];
  const lines = values
    .sort((a, b) => Number(a.step) - Number(b.step))
    .map((row) => names.map((name) => row[name] ?? '').join(','));
  return `${[names.join(','), ...lines].join('\n')}\n`;
}
