/**
 * Finding stop strings in text that arrives in pieces.
 *
 * @module
 */

/** Passes text on until a stop string is complete. Holds back text that may still become a stop string. */
export class StopFilter {
  readonly #stops: readonly string[];
  #held = '';
  /** Whether a stop string was found; all text from it on is dropped. */
  stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** @returns the text that is safe to show */
  push(text: string): string {
    if (this.stopped) return '';
    this.#held += text;
    // The stop string that is complete first counts, so that the pieces in which the text came make no difference.
    let found: { start: number; end: number } | undefined;
    for (const stop of this.#stops) {
      const start = this.#held.indexOf(stop);
      const end = start + stop.length;
      if (start < 0 || (found && (end > found.end || (end === found.end && start > found.start)))) continue;
      found = { start, end };
    }
    if (found) {
      this.stopped = true;
      const shown = this.#held.slice(0, found.start);
      this.#held = '';
      return shown;
    }
    const hold = this.#pendingLength();
    const shown = this.#held.slice(0, this.#held.length - hold);
    this.#held = this.#held.slice(this.#held.length - hold);
    return shown;
  }

  /** @returns the text that was held back; called when no more text comes */
  flush(): string {
    const rest = this.stopped ? '' : this.#held;
    this.#held = '';
    return rest;
  }

  /** Length of the longest suffix of the held text that is the beginning of a stop string. */
  #pendingLength(): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, this.#held.length); length > longest; length--) {
        if (this.#held.endsWith(stop.slice(0, length))) {
          longest = length;
          break;
        }
      }
    }
    return longest;
  }
}
