/**
 * The metrics file of a run.
 *
 * @module
 */

import { join } from '../../platform/index.ts';
import { openMetrics } from '../metrics.ts';
import { runFiles } from '../run-folder.ts';
import type { RunSink, SinkRun } from './sink.ts';

/** @throws SubzeroError as `openMetrics` */
export async function openMetricsSink({ folder }: SinkRun): Promise<RunSink> {
  const metrics = await openMetrics(join(folder, runFiles.metrics));
  return {
    // How machines did is of the moment; a resumed run would tell it otherwise.
    take: async (event) => (event.type === 'cluster' ? undefined : await metrics.append({ ...event })),
    finish: async () => {},
    close: () => metrics.close(),
  };
}
