/**
 * Which files of a folder hold which part of a data set.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { basename, join, readdir, stat } from '../platform/index.ts';
import { containerEnds, knownContainer } from './containers/index.ts';
import { asReadError, withoutPacking } from './packing.ts';
import type { Split, Task } from './tasks/index.ts';

/** Words that files of a split have in their names, best first. */
const splitWords: Readonly<Record<Split, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'val', 'dev'],
  evaluation: ['test', 'testing', 'eval', 'evaluation'],
};

/** Most names in an error. */
const namesShown = 10;

/** Whether a path is a folder. @throws SubzeroError `not_found`, `io` */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw asReadError(path, error);
  }
}

/**
 * The files of one split of a folder, in the order of their names; without a folder, the file itself.
 *
 * A file belongs to the split whose word its name has (`train-00000-of-00002.parquet`, `dev.csv`); those with the best
 * word are taken. Without any for training, files without a word are for that. Where there is nothing for the final
 * score, what validation has is taken, but never the other way round: what a checkpoint is chosen by is not what it is
 * judged by. A folder without a file of data, but with a folder `data`, stands for that.
 *
 * @throws SubzeroError `not_found` with what was looked for and what is there
 */
export async function filesOf(path: string, split: Split): Promise<string[]> {
  if (!(await isFolder(path))) return [path];
  const names = (await readdir(path)).sort();
  const files = names.filter((name) => !name.startsWith('.') && knownContainer(name));
  if (files.length === 0 && names.includes('data')) return filesOf(join(path, 'data'), split);
  const hasWord = (name: string, words: readonly string[]): boolean =>
    stemOf(name)
      .toLowerCase()
      .split(/[^a-z]+/)
      .some((part) => words.includes(part));
  const others = [...splitWords.validation, ...splitWords.evaluation];
  const wanted: readonly Split[] = split === 'evaluation' ? ['evaluation', 'validation'] : [split];
  for (const word of wanted.flatMap((each) => splitWords[each])) {
    const found = files.filter(
      (name) => hasWord(name, [word]) && (split === 'train' || !hasWord(name, splitWords.train)),
    );
    if (found.length > 0) return found.map((name) => join(path, name));
  }
  const nameless = files.filter((name) => !hasWord(name, others));
  if (split === 'train' && nameless.length > 0) return nameless.map((name) => join(path, name));
  const what =
    files.length === 0
      ? `no data file (${containerEnds.join(', ')})`
      : `no file for ${wanted.join(' or ')} by its name`;
  throw nothingFound(path, `${path} has ${what}`, names);
}

/**
 * The file of a task's split in its folder; a path that is no folder is that of the file itself.
 * @throws SubzeroError `not_found` with the names that were looked for and those that are there
 */
export async function fileOfTask(task: Task, directory: string, split: Split): Promise<string> {
  if (!(await isFolder(directory))) return directory;
  const names = (await readdir(directory)).sort();
  for (const wanted of task.files[split]) {
    // A name without an end stands for all kinds of files.
    const found = names.find((name) => name === wanted || (knownContainer(name) && stemOf(name) === wanted));
    if (found !== undefined) return join(directory, found);
  }
  const looked = `looked for ${task.files[split].join(', ')}`;
  throw nothingFound(directory, `${directory} has no ${split} file of task ${task.name}: ${looked}`, names);
}

function nothingFound(directory: string, problem: string, names: readonly string[]): SubzeroError {
  const there = names.length === 0 ? 'the directory is empty' : `there are ${names.slice(0, namesShown).join(', ')}`;
  return new SubzeroError('not_found', `${problem}; ${there}`, { parameter: directory });
}

/** A file's name without the ends that say what it is. */
function stemOf(name: string): string {
  const plain = withoutPacking(basename(name));
  const end = containerEnds.find((each) => plain.toLowerCase().endsWith(each));
  return end === undefined ? plain : plain.slice(0, -end.length);
}
