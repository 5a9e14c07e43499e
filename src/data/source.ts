/**
 * Where data comes from.
 *
 * @module
 */

import type { TaskDescription } from './tasks/described.ts';

/**
 * Data for training or evaluation: a task, by its name or its description, over a folder of its splits or one file; or
 * a file, or a folder with several, whose rows say themselves what is learnt. `file` is the path of either.
 */
export type DataSource = { task: string | TaskDescription; directory: string } | { file: string };
