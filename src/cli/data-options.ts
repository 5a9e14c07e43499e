/**
 * The options that name the data of training and evaluation.
 *
 * @module
 */

import { statSync } from 'node:fs';
import type { DataSource } from '../engine/types.ts';
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
    'folder of the task, or without --task a JSONL file: {"prompt", "completion"} or {"prompt", "options", "label"} a line',
  group,
} as const satisfies TextOption;

/**
 * The data that `--task` and `--data` (or `--validation`) name.
 * @throws UsageError when a folder comes without its task, or a task without its folder
 */
export function dataSource(task: string | undefined, path: string | undefined, option = 'data'): DataSource {
  if (task !== undefined) {
    if (path !== undefined) return { task, directory: path };
    throw new UsageError(`--task ${task} needs --${option} DIR, the folder with its files`, { parameter: option });
  }
  if (path === undefined) {
    throw new UsageError('there is no data: give --task NAME --data DIR, or --data FILE', { parameter: option });
  }
  if (isFolder(path)) {
    throw new UsageError(`--${option} ${path} is a folder; give a JSONL file, or name the task whose folder it is`, {
      parameter: option,
      hint: `such as --task sst2 --${option} ${path}`,
    });
  }
  return { file: path };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
