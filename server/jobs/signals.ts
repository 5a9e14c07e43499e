/**
 * Wakes those who wait for news of a job. It carries no data: whoever wakes reads the store, so a slow reader costs no
 * memory.
 *
 * @module
 */

export class JobSignals {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Wakes everybody who waits for this job. */
  notify(jobId: string): void {
    const waiting = this.#waiting.get(jobId);
    this.#waiting.delete(jobId);
    for (const wake of waiting ?? []) wake();
  }

  /**
   * `news` resolves with `true` at the next {@link notify}, with `false` after `milliseconds`, when the signal aborts,
   * or on `cancel`, which must be called. Call it before reading the store, await it after: then nothing falls between.
   */
  next(jobId: string, milliseconds: number, signal: AbortSignal): { news: Promise<boolean>; cancel(): void } {
    let resolve: (came: boolean) => void;
    const news = new Promise<boolean>((fulfil) => {
      resolve = fulfil;
    });
    const finish = (came: boolean) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
      const waiting = this.#waiting.get(jobId);
      if (waiting?.delete(wake) && waiting.size === 0) this.#waiting.delete(jobId);
      resolve(came);
    };
    const wake = () => finish(true);
    const cancel = () => finish(false);
    const timer = setTimeout(cancel, milliseconds);
    signal.addEventListener('abort', cancel, { once: true });
    const waiting = this.#waiting.get(jobId) ?? new Set();
    this.#waiting.set(jobId, waiting.add(wake));
    if (signal.aborted) cancel();
    return { news, cancel };
  }

  /** How many wait, over all jobs. */
  get waiting(): number {
    return [...this.#waiting.values()].reduce((sum, set) => sum + set.size, 0);
  }
}
