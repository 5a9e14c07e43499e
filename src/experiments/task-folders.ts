/**
 * Several tasks in one folder: each in a folder of its own name, such as `RTE` or `sst-2`.
 *
 * @module
 */

import { fileOfTask } from '../data/files.ts';
import type { DataSource } from '../data/source.ts';
import { readerOf, taskOf } from '../data/tasks/index.ts';
import { SubzeroError } from '../errors.ts';
import { join, readdir } from '../platform/index.ts';
import type { ExperimentRequest } from './experiment.ts';

export type TaskSource = Extract<DataSource, { task: unknown }>;

/** Letters and digits alone, in lower case. */
const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/**
 * The tasks of a request, by name, each with its folder.
 * @throws SubzeroError `not_found` for a task without a folder, or without the files of training and evaluation;
 * `invalid_argument` for an unknown task, and for data without a task
 */
export async function taskSources({
  data,
  tasks: names,
}: Pick<ExperimentRequest, 'data' | 'tasks'>): Promise<Map<string, TaskSource>> {
  const sources = new Map<string, TaskSource>();
  if ('task' in data) sources.set(taskOf(data.task).name, data);
  else if (names === undefined || names.length === 0) {
    const problem = 'there is no task: give --task NAME, or --tasks with --data DIR that has a folder for each';
    throw new SubzeroError('invalid_argument', problem, { parameter: 'tasks' });
  } else {
    const folders = await readdir(data.file).catch((): string[] => []);
    for (const name of names) {
      const task = taskOf(name);
      const folder = folders.find((each) => plain(each) === plain(name));
      if (folder === undefined) {
        const there = folders.length === 0 ? 'it is empty, or no folder' : `there are ${folders.sort().join(', ')}`;
        throw new SubzeroError('not_found', `${data.file} has no folder of the task ${name}; ${there}`, {
          parameter: 'tasks',
        });
      }
      sources.set(task.name, { task: name, directory: join(data.file, folder) });
    }
  }
  for (const { task, directory } of sources.values()) {
    for (const split of ['train', 'evaluation'] as const) await fileOfTask(taskOf(task), directory, split);
  }
  return sources;
}

/**
 * @param masked whether the model is a masked one, whose prompts are others
 * @throws SubzeroError `invalid_argument` for a task that has no prompts for the model
 */
export function checkPrompts(sources: ReadonlyMap<string, TaskSource>, masked: boolean): void {
  for (const { task } of sources.values()) readerOf(taskOf(task), masked);
}
