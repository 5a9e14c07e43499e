/**
 * Those who follow a log while it grows.
 *
 * @module
 */

import { EventQueue } from '../event-queue.ts';
import type { StepRecord } from './journal-format.ts';

export class Followers {
  readonly #queues = new Set<EventQueue<StepRecord>>();
  #ended = false;

  /** Tells of a step that is kept. */
  tell(record: StepRecord): void {
    for (const queue of this.#queues) queue.push(record);
  }

  /** The log is closed: nothing more comes. */
  end(): void {
    this.#ended = true;
    for (const queue of this.#queues) queue.end();
  }

  /**
   * The steps behind `after`: what the log holds, then what comes.
   * @param read the records that the log holds, from step 1 on
   */
  async *follow(
    read: () => Promise<readonly StepRecord[]>,
    after: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<StepRecord> {
    // Before the log is read, so that nothing falls between.
    const queue = new EventQueue<StepRecord>();
    this.#queues.add(queue);
    const end = (): void => queue.end();
    signal?.addEventListener('abort', end, { once: true });
    if (this.#ended) end();
    try {
      let last = after;
      for (const record of (await read()).slice(after)) {
        if (signal?.aborted) return;
        yield record;
        last = record.step;
      }
      for await (const record of queue.drain()) {
        if (signal?.aborted) return;
        // The log held the first of them too.
        if (record.step > last) yield record;
      }
    } finally {
      this.#queues.delete(queue);
      signal?.removeEventListener('abort', end);
    }
  }
}
