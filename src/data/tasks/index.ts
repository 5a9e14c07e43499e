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
import { mnli, snli } from './inference.ts';
import { multirc } from './multirc.ts';
import { record } from './record.ts';
import { squad } from './squad.ts';
import { sst2 } from './sst2.ts';
import { sst5 } from './sst5.ts';
import { cb, rte, wic, wsc } from './superglue.ts';
import type { Task } from './task.ts';
import { trec } from './trec.ts';

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
  sst5,
  snli,
  mnli,
  trec,
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

/**
 * How the rows of a task are read for a kind of model.
 * @throws SubzeroError `invalid_argument` that lists the tasks of the kind
 */
export function readerOf(task: Task, masked: boolean): NonNullable<Task['read']> {
  const readerFor = (each: Task) => (masked ? each.readMasked : each.read);
  const reader = readerFor(task);
  if (reader) return reader;
  const others = Object.values(tasks).filter(readerFor);
  throw new SubzeroError(
    'invalid_argument',
    `task ${task.name} has no prompts for ${masked ? 'masked' : 'causal'} language models; those that have are ` +
      others.map(({ name }) => name).join(', '),
    { parameter: 'task' },
  );
}
