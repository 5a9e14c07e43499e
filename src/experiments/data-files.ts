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
import { resolve, stat } from '../platform/index.ts';
import type { Experiment, ExperimentRequest } from './experiment.ts';
import { hashOfFiles } from './inputs.ts';
import { evaluated } from './train-cell.ts';

/**
 * The files that an experiment's cells read rows of.
 * @throws SubzeroError `not_found` for one that is not there
 */
export async function dataFiles(
  { data: splits = [], sources }: Pick<Experiment, 'data' | 'sources'>,
  request: ExperimentRequest,
): Promise<string[]> {
  const files: string[] = [];
  for (const split of splits) {
    const own = sources ? await sources(request) : [split === 'train' ? request.data : evaluated(request)];
    for (const source of own) files.push(...(await filesFor(source, split)));
  }
  for (const file of files) {
    const isThere = await stat(file).then(
      () => true,
      () => false,
    );
    if (!isThere) throw new SubzeroError('not_found', `${file} does not exist`, { parameter: 'data' });
  }
  return files;
}

/** A file that is trained on and evaluated, under whatever names; undefined where there is none. */
export async function fileOfBoth(request: Pick<ExperimentRequest, 'data' | 'validation'>): Promise<string | undefined> {
  const trained = await filesFor(request.data, 'train');
  for (const file of await filesFor(evaluated(request), 'evaluation')) {
    for (const other of trained) if (await areSame(file, other)) return file;
  }
  return undefined;
}

/** Links and copies have the same bytes. */
async function areSame(one: string, other: string): Promise<boolean> {
  if (resolve(one) === resolve(other)) return true;
  const [size, otherSize] = [(await stat(one)).size, (await stat(other)).size];
  return size === otherSize && (await hashOfFiles([one])) === (await hashOfFiles([other]));
}

/**
 * For what is measured on rows that no run may have seen.
 * @throws SubzeroError `invalid_argument` where a file would be trained on and evaluated
 */
export async function checkHeldOut(request: Pick<ExperimentRequest, 'data' | 'validation'>): Promise<void> {
  const both = await fileOfBoth(request);
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
