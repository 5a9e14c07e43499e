/**
 * The examples of an estimate that wants the same ones every time.
 *
 * @module
 */

import { loadDataset } from '../data/load.ts';
import { sampleBatch } from '../data/sampling.ts';
import type { DataRow } from '../engine/types.ts';
import type { ExperimentRequest } from './experiment.ts';

/** Examples among which the batch is drawn. */
const pool = 1024;

/** The examples of a seed, as rows of data. */
export async function batchOf(
  { data, reading }: Pick<ExperimentRequest, 'data' | 'reading'>,
  seed: number,
  size: number,
): Promise<DataRow[]> {
  const { examples } = await loadDataset(data, { ...reading, limit: pool });
  return sampleBatch(seed, 0, size, examples.length).map((index) => {
    const { prompt, options, label, completion } = examples[index]!;
    return options ? { prompt, options, label } : { prompt, completion };
  });
}
