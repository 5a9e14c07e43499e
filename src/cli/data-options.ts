/**
 * The options that name the data of training and evaluation.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { containerNames } from '../data/containers/index.ts';
import { parseTaskDescription } from '../data/tasks/described.ts';
import type { DataSource, TaskDescription } from '../engine/types.ts';
import type { TextOption } from './option.ts';
import { UsageError } from './usage-error.ts';

const group = 'Model and data';

export const taskOption = {
  name: 'task',
  type: 'text',
  placeholder: 'NAME',
  description: 'a task that is built in, such as sst2; --data is then the folder with its files',
  group,
} as const satisfies TextOption;

export const dataOption = {
  name: 'data',
  type: 'text',
  placeholder: 'PATH',
  description:
    'folder of the task, or without a task a file or a folder of several, here or, as ORG/NAME, on the Hugging Face ' +
    'Hub: ' +
    containerNames,
  group,
} as const satisfies TextOption;

export const taskFileOption = {
  name: 'task-file',
  type: 'text',
  placeholder: 'FILE',
  description: 'a task of your own in a JSON file: template, labels or completion, files of the splits (docs/data.md)',
  group,
} as const satisfies TextOption;

/**
 * The task that `--task` or `--task-file` names.
 * @throws UsageError for both; SubzeroError `invalid_data` for a file that describes none
 */
export function chosenTask(name: string | undefined, file: string | undefined): string | TaskDescription | undefined {
  if (file === undefined) return name;
  if (name !== undefined) {
    throw new UsageError('--task and --task-file both name a task; give one of them', { parameter: 'task-file' });
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`--task-file ${file} cannot be read: ${(error as Error).message}`, { parameter: 'task-file' });
  }
  return parseTaskDescription(value, file);
}

/**
 * The data that `--task` and `--data` (or `--validation`) name.
 * @throws UsageError when a folder comes without its task, or a task without its folder
 */
export function dataSource(
  task: string | TaskDescription | undefined,
  path: string | undefined,
  option = 'data',
): DataSource {
  if (task !== undefined) {
    if (path !== undefined) return { task, directory: path };
    throw new UsageError(
      `${typeof task === 'string' ? `--task ${task}` : '--task-file'} needs --${option} DIR, the folder with its files`,
      { parameter: option },
    );
  }
  if (path === undefined) {
    throw new UsageError('there is no data: give --task NAME --data DIR, or --data FILE', { parameter: option });
  }
  return { file: path };
}
