/**
 * The examples of an estimate that wants the same ones every time.
 *
 * @module
 */

import type { Example } from '../data/example.ts';
import { loadDataset } from '../data/load.ts';
import { sampleBatch } from '../data/sampling.ts';
import type { DataRow } from '../engine/types.ts';
import { SubzeroError } from '../errors.ts';
import { generates } from '../model/decoder.ts';
import { readConfigurationFile } from '../model/load.ts';
import type { ExperimentRequest } from './experiment.ts';

/** Examples among which the batch is drawn. */
const pool = 1024;

/**
 * The examples of a seed, as rows of data.
 * @throws SubzeroError `unsupported` for preferences, whose loss is not that of rows with options
 */
export async function batchOf(
  { model, data, reading }: Pick<ExperimentRequest, 'model' | 'data' | 'reading'>,
  seed: number,
  size: number,
): Promise<DataRow[]> {
  const masked = !generates(await readConfigurationFile(model));
  const { examples, kind, file } = await loadDataset(data, { ...reading, masked, limit: pool });
  if (kind === 'preference') {
    throw new SubzeroError('unsupported', `${file} holds preferences; this experiment takes answers to learn`, {
      parameter: 'data',
    });
  }
  return sampleBatch(seed, 0, size, examples.length).map((index) => {
    return rowOf(examples[index]!);
  });
}

/** An example as a row of data that makes it again. */
export function rowOf({ prompt, options, label, completion }: Example): DataRow {
  return options ? { prompt, options, label } : { prompt, completion };
}
