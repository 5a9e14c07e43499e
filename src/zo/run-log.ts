/**
 * The log of a run: the numbers of its steps, which with the base model are its weights at every step.
 *
 * @module
 */

import type { Journal } from './journal.ts';
import type { StepRecord } from './journal-format.ts';

export interface RunLog {
  /**
   * Appends the next step; returns when it is kept. Await it before the next call.
   * @throws SubzeroError `invalid_argument` for a record that cannot be the next, `io` if it cannot be written
   */
  append(record: StepRecord): Promise<void>;
  /** The log as it is kept. */
  read(): Promise<Journal>;
  /**
   * The steps behind one, those that are there and then each that is appended, as they are kept, until the log is
   * closed or the signal is aborted. A slow reader holds nobody up.
   * @param options.after a step; 0, for all, by default
   */
  follow(options?: { after?: number; signal?: AbortSignal }): AsyncIterable<StepRecord>;
  /** Calling it again does nothing. */
  close(): Promise<void>;
}
