/**
 * The folder of a run and the files in it.
 *
 * @module
 */

import { mkdir, readdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SubzeroError } from '../errors.ts';

/** The files of a run folder. */
export const runFiles = { journal: 'journal.subzero', metrics: 'metrics.jsonl', curve: 'loss-curve.svg' } as const;

/** Whether a folder is a run: it holds a journal. */
export async function isRunFolder(folder: string): Promise<boolean> {
  return (await readdir(folder).catch(() => [] as string[])).includes(runFiles.journal);
}

/** Makes the folder of a new run. @throws SubzeroError `conflict` if it holds a run already, `io` if it cannot be made */
export async function createRunFolder(folder: string): Promise<void> {
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
      `${folder} already holds a run; choose another folder, or continue it with --resume ${folder}`,
      { parameter: 'out' },
    );
  }
}

/**
 * Makes a folder and its parents. Node's own `recursive` never returns where a parent refuses children with ENOENT, as /proc does.
 * @param mode permissions of those that are made
 */
export async function makeFolders(folder: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(folder, { mode });
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'EEXIST' && (await stat(folder)).isDirectory()) return;
    if (code !== 'ENOENT' || (await stat(dirname(folder)).catch(() => undefined)) !== undefined) throw error;
    await makeFolders(dirname(folder), mode);
    await mkdir(folder, { mode });
  }
}
