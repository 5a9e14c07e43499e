/**
 * Warnings that concern whoever runs the process, whichever door they came in by: the command line, the server, a job.
 *
 * @module
 */

import { writeStandardError } from './platform/index.ts';

/** Writes a warning to standard error, which is also the server's log; a worker thread's goes to its process. */
export function warn(message: string): void {
  writeStandardError(`warning: ${message}\n`);
}
