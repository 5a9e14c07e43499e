/**
 * Files that a run learnt from and that an evaluation of it reads, too.
 *
 * @module
 */

import { filesOf } from '../data/files.ts';
import type { DataSource } from '../data/source.ts';
import { resolve } from '../platform/index.ts';
import { openJournal } from '../zo/journal.ts';
import type { RunSources } from './run.ts';
import { isRunFolder, journalFile } from './run-folder.ts';

/**
 * The files of an evaluation that a run was trained on, wholly or but for the rows that it held out. None where the
 * model is no run, for tasks, whose splits have files of their own, and where the run's files are gone.
 * @param model what is evaluated, a folder or a file
 */
export async function trainedFiles(model: string, data: DataSource): Promise<string[]> {
  if ('task' in data || !(await isRunFolder(model))) return [];
  const { header } = await openJournal(await journalFile(model));
  const sources = header.extra.sources as RunSources | undefined;
  if (sources === undefined || 'task' in sources.data) return [];
  const trained = (await filesOf(sources.data.file, 'train').catch(() => [])).map((file) => resolve(file));
  return (await filesOf(data.file, 'evaluation')).filter((file) => trained.includes(resolve(file)));
}
