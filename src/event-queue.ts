/**
 * A queue between one producer and one asynchronous consumer.
 *
 * @module
 */

export class EventQueue<T> {
  #items: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #error: unknown;

  /** Whether {@link end} was called, so that no more items are wanted. */
  get ended(): boolean {
    return this.#ended;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /**
   * Ends the queue. The consumer first receives all items, then finishes or fails with the error. Only the first call
   * has an effect.
   */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  async *drain(): AsyncGenerator<T> {
    for (;;) {
      while (this.#items.length > 0) yield this.#items.shift()!;
      if (this.#ended) {
        if (this.#error !== undefined) throw this.#error;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
