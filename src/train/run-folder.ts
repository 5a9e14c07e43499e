/**
 * The folder of a run and the files in it.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { shellWord } from '../format.ts';
import { makeFolders } from '../make-folders.ts';
import { join, readdir, rm, rmdir, stat } from '../platform/index.ts';

/** The files of a run folder. */
export const runFiles = {
  journal: 'journal.subzero',
  metrics: 'metrics.jsonl',
  curve: 'loss-curve.svg',
  baseScores: 'base-scores.jsonl',
} as const;

/** Whether a folder is a run: it holds a journal. */
export async function isRunFolder(folder: string): Promise<boolean> {
  return (await readdir(folder).catch(() => [] as string[])).includes(runFiles.journal);
}

/**
 * The file of a run's journal.
 * @throws SubzeroError `not_found` if the folder is no run
 */
export async function journalFile(folder: string): Promise<string> {
  if (await isRunFolder(folder)) return join(folder, runFiles.journal);
  throw new SubzeroError('not_found', `${folder} is not a run: there is no ${runFiles.journal} in it`, {
    parameter: 'run',
  });
}

/**
 * Makes the folder of a new run.
 * @returns whether it was not there before
 * @throws SubzeroError `conflict` if it holds a run already, `io` if it cannot be made
 */
export async function createRunFolder(folder: string): Promise<boolean> {
  const existed = (await stat(folder).catch(() => undefined)) !== undefined;
  try {
    await makeFolders(folder);
  } catch (error) {
    throw new SubzeroError('io', `the run folder ${folder} cannot be made: ${(error as Error).message}`, {
      parameter: 'out',
    });
  }
  if (await isRunFolder(folder)) {
    throw new SubzeroError(
      'conflict',
      `${folder} already holds a run; choose another folder, or continue it with --resume ${shellWord(folder)}`,
      { parameter: 'out' },
    );
  }
  return !existed;
}

/** Removes a run that made no step. @param made what of it is this run's own: its files, its folder */
export async function removeRun(folder: string, made: { files: boolean; folder: boolean }): Promise<void> {
  const names = made.files ? Object.values(runFiles) : [];
  for (const name of names) await rm(join(folder, name), { force: true }).catch(() => {});
  // Fails where something else has come to lie there, which is not ours to remove.
  if (made.folder) await rmdir(folder).catch(() => {});
}
