/**
 * The training rows of an experiment's runs, in a folder of their own.
 *
 * A run evaluates the validation rows that lie beside its training rows. Here nothing lies beside them, or rows that
 * all methods and seeds have in common.
 *
 * @module
 */

import { knownContainer } from '../data/containers/index.ts';
import { fileOfTask, filesOf, isFolder } from '../data/files.ts';
import { readTaskRows } from '../data/load.ts';
import { samplePermutation } from '../data/sampling.ts';
import type { DataSource } from '../data/source.ts';
import { taskOf } from '../data/tasks/index.ts';
import { SubzeroError } from '../errors.ts';
import { basename, createHash, join, mkdir, rename, resolve, rm, stat, symlink, writeFile } from '../platform/index.ts';
import type { Laboratory } from './experiment.ts';

/** Draws the rows that are held out, whatever the seeds of the runs. */
const splitSeed = 0;

/**
 * The training rows of a source, without validation rows beside them. Of a folder of files that no task describes only
 * one with a single file for training can be meant by that; others stay as they are.
 */
export async function trainingRows({ kept }: Pick<Laboratory, 'kept'>, source: DataSource): Promise<DataSource> {
  if (!('task' in source)) {
    const files = await filesOf(source.file, 'train');
    return files.length === 1 ? { file: files[0]! } : source;
  }
  // A file that stands for the folder may have a name that the task does not look for.
  if (!(await isFolder(source.directory))) return source;
  const file = resolve(await fileOfTask(taskOf(source.task), source.directory, 'train'));
  const directory = await madeOnce(kept, ['train', file], (folder) => symlink(file, join(folder, basename(file))));
  return { task: source.task, directory };
}

/**
 * A task's training rows, some of which are held out: those for validation.
 * @param share of the rows that are held out, and at most so many: `most`; at least one, and never all
 * @throws SubzeroError `invalid_data` for a single row
 */
export async function splitRows(
  { kept }: Pick<Laboratory, 'kept'>,
  { task, directory: from }: Extract<DataSource, { task: unknown }>,
  { share, most }: { share: number; most: number },
): Promise<DataSource> {
  const described = taskOf(task);
  const file = resolve(await fileOfTask(described, from, 'train'));
  const directory = await madeOnce(kept, ['split', file, share, most], async (folder) => {
    const lines: string[] = [];
    for await (const { value } of readTaskRows(described, file)) lines.push(`${JSON.stringify(value)}\n`);
    if (lines.length < 2) {
      throw new SubzeroError('invalid_data', `${file} has one row; rows can be held out of two or more`, {
        parameter: file,
      });
    }
    const count = Math.min(most, lines.length - 1, Math.max(1, Math.round(share * lines.length)));
    const held = new Set(samplePermutation(splitSeed, lines.length).slice(0, count));
    for (const split of ['train', 'validation'] as const) {
      const own = lines.filter((_, index) => held.has(index) === (split === 'validation'));
      await writeFile(join(folder, nameOf(described.files[split])), own.join(''));
    }
  });
  return { task, directory };
}

/** A name of JSON Lines among those that a task's file may have. */
function nameOf(names: readonly string[]): string {
  const name = names.find((each) => (knownContainer(each)?.name ?? 'JSON Lines') === 'JSON Lines');
  if (name !== undefined) return knownContainer(name) ? name : `${name}.jsonl`;
  const problem = `the task's files are called ${names.join(', ')}: rows can be held out where one of the names is`;
  throw new SubzeroError('unsupported', `${problem} that of JSON Lines, or has no end`, { parameter: 'tasks' });
}

/** A folder that stays for the cells after this one; whole, or not there. */
async function madeOnce(
  kept: string,
  key: readonly unknown[],
  fill: (folder: string) => Promise<unknown>,
): Promise<string> {
  const name = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 16);
  const folder = join(kept, `rows-${name}`);
  const isThere = await stat(folder).then(
    () => true,
    () => false,
  );
  if (isThere) return folder;
  const begun = `${folder}.part`;
  await rm(begun, { recursive: true, force: true });
  await mkdir(begun, { recursive: true });
  await fill(begun);
  await rename(begun, folder);
  return folder;
}
