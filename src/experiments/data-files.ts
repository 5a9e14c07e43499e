/**
 * Whether data are there, before hours are spent on what reads them last.
 *
 * @module
 */

import { fileOfTask, filesOf } from '../data/files.ts';
import type { DataSource } from '../data/source.ts';
import { taskOf } from '../data/tasks/index.ts';
import type { Split } from '../data/tasks/task.ts';
import { SubzeroError } from '../errors.ts';
import { stat } from '../platform/index.ts';
import type { ExperimentRequest } from './experiment.ts';
import { evaluated } from './train-cell.ts';

/** @throws SubzeroError `not_found` for a file of one of the splits that is not there */
export async function checkDataFiles(
  request: Pick<ExperimentRequest, 'data' | 'validation'>,
  splits: readonly Split[],
): Promise<void> {
  for (const split of splits) {
    for (const file of await filesFor(split === 'train' ? request.data : evaluated(request), split)) {
      const isThere = await stat(file).then(
        () => true,
        () => false,
      );
      if (!isThere) throw new SubzeroError('not_found', `${file} does not exist`, { parameter: 'data' });
    }
  }
}

/**
 * For what is measured on rows that no run may have seen.
 * @throws SubzeroError `invalid_argument` where a file would be trained on and evaluated
 */
export async function checkHeldOut(request: Pick<ExperimentRequest, 'data' | 'validation'>): Promise<void> {
  const trained = new Set(await filesFor(request.data, 'train'));
  const both = (await filesFor(evaluated(request), 'evaluation')).find((file) => trained.has(file));
  if (both === undefined) return;
  throw new SubzeroError(
    'invalid_argument',
    `${both} would be trained on and evaluated; give a folder with files of train and test, or other rows by ` +
      '--validation',
    { parameter: 'data' },
  );
}

async function filesFor(source: DataSource, split: Split): Promise<string[]> {
  return 'task' in source
    ? [await fileOfTask(taskOf(source.task), source.directory, split)]
    : filesOf(source.file, split);
}
