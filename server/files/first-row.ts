/**
 * What a job would read of a file, by its first row, so that a job whose method does not fit is refused when it is
 * asked for and not when its turn has come.
 *
 * @module
 */

import { createRowMapping } from '../../src/data/columns.ts';
import { readRows } from '../../src/data/containers/index.ts';
import { detectFormat } from '../../src/data/formats.ts';
import { isPromptRow, promptFormat } from '../../src/data/prompts.ts';
import { SubzeroError } from '../../src/errors.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { objectives, preferenceObjective } from '../../src/settings/objectives.ts';
import { invalid } from '../errors.ts';
import { uploadedContainer } from './table-check.ts';

/**
 * @param use training data have to suit the objective; validation data may be of any kind that has an answer
 * @throws ApiError 400 that names the row
 */
export async function checkFirstRow(
  file: { path: string; filename: string },
  configuration: TrainConfiguration,
  use: 'training_file' | 'validation_file',
): Promise<void> {
  const { generates, learnsFrom } = objectives[configuration.objective];
  // Rewards take the prompts of any rows. The pages of a Parquet file are read by the job alone.
  if (generates || uploadedContainer(file.filename).name === 'Parquet') return;
  try {
    for await (const given of readRows(file.path)) {
      const row = createRowMapping(configuration)?.(given) ?? given;
      const { kind, shape } = isPromptRow(row) ? promptFormat : detectFormat(row);
      const learnt = use === 'validation_file' || learnsFrom.includes(kind);
      const isMeant = configuration.objective === 'auto' && objectives[preferenceObjective].learnsFrom.includes(kind);
      if (kind !== 'prompt' && (learnt || isMeant)) return;
      const wanted =
        kind === 'prompt' ? 'has no answer; prompts alone are for the method "reinforcement"' : 'is no such row';
      const problem =
        `the objective "${configuration.objective}" learns from ${learnsFrom.join(' or ')}, and ` +
        `${shape} ${wanted}`;
      throw new SubzeroError('invalid_data', `${row.source}: ${problem}`);
    }
  } catch (error) {
    if (!(error instanceof SubzeroError) || error.code !== 'invalid_data') throw error;
    throw invalid(`${error.message.replaceAll(file.path, file.filename)}.`, use, 'invalid_training_file');
  }
}
