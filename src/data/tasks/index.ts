/**
 * All tasks that can be named on the command line and in requests.
 *
 * @module
 */

import { SubzeroError } from '../../errors.ts';
import { boolq } from './boolq.ts';
import { copa } from './copa.ts';
import { describedTask, type TaskDescription } from './described.ts';
import { drop } from './drop.ts';
import { multirc } from './multirc.ts';
import { record } from './record.ts';
import { squad } from './squad.ts';
import { sst2 } from './sst2.ts';
import { cb, rte, wic, wsc } from './superglue.ts';
import type { Task } from './task.ts';

export type { Split, Task } from './task.ts';

/** Every task by its name. */
export const tasks: Readonly<Record<string, Task>> = {
  sst2,
  rte,
  cb,
  boolq,
  wsc,
  wic,
  multirc,
  copa,
  record,
  squad,
  drop,
};

/**
 * The task of a name, or the one that a description means.
 * @throws SubzeroError `invalid_argument` that lists the tasks there are
 */
export function taskOf(name: string | TaskDescription): Task {
  if (typeof name !== 'string') return describedTask(name);
  const task = Object.hasOwn(tasks, name) ? tasks[name] : undefined;
  if (task !== undefined) return task;
  throw new SubzeroError('invalid_argument', `unknown task "${name}"; there are ${Object.keys(tasks).join(', ')}`, {
    parameter: 'task',
  });
}
