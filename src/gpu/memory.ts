/**
 * Accounting of GPU memory: the bytes held now, in all and by category, and their peak.
 *
 * @module
 */

/** Purpose of a buffer. */
export type MemoryCategory = 'weights' | 'factors' | 'state' | 'activations' | 'cache' | 'staging' | 'scratch';

/** Live bytes in all and by category, and peak bytes in all. */
export interface MemoryReport {
  liveBytes: number;
  peakBytes: number;
  byCategory: Record<string, number>;
}

export class MemoryAccount {
  #live = 0;
  #peak = 0;
  readonly #byCategory = new Map<MemoryCategory, number>();

  add(category: MemoryCategory, bytes: number): void {
    this.#live += bytes;
    this.#peak = Math.max(this.#peak, this.#live);
    this.#byCategory.set(category, (this.#byCategory.get(category) ?? 0) + bytes);
  }

  remove(category: MemoryCategory, bytes: number): void {
    this.#live -= bytes;
    this.#byCategory.set(category, (this.#byCategory.get(category) ?? 0) - bytes);
  }

  /** Sets the peak to the bytes held now, to measure the peak of what follows. */
  resetPeak(): void {
    this.#peak = this.#live;
  }

  report(): MemoryReport {
    return { liveBytes: this.#live, peakBytes: this.#peak, byCategory: Object.fromEntries(this.#byCategory) };
  }
}
