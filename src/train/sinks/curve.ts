/**
 * The loss curve of a run, drawn from its metrics when its steps are done.
 *
 * @module
 */

import { join, writeFile } from '../../platform/index.ts';
import { diskError } from '../../safetensors/disk.ts';
import { curvePoints, lossCurveSvg } from '../curve.ts';
import { readMetrics } from '../metrics.ts';
import { runFiles } from '../run-folder.ts';
import type { RunSink, SinkRun } from './sink.ts';

/** To be told after the metrics sink, whose file holds the steps of earlier processes too. */
export async function openCurveSink({ folder, title }: SinkRun): Promise<RunSink> {
  return {
    take: async () => {},
    async finish() {
      const points = curvePoints(await readMetrics(join(folder, runFiles.metrics)));
      const file = join(folder, runFiles.curve);
      try {
        await writeFile(file, lossCurveSvg(points, { title }));
      } catch (error) {
        throw diskError(error, file, 'write');
      }
    },
    close: async () => {},
  };
}
