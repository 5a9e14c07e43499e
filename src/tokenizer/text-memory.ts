/**
 * What was made of texts, for those that come again.
 *
 * @module
 */

/** Results by text. It is bounded, and forgets all of them when it is full. */
export class TextMemory<Result> {
  readonly #results = new Map<string, Result>();
  readonly #entries: number;
  readonly #longest: number;

  /**
   * @param entries the most texts
   * @param longest UTF-16 units of the longest text that is remembered
   */
  constructor(entries: number, longest: number) {
    this.#entries = entries;
    this.#longest = longest;
  }

  get(text: string): Result | undefined {
    return text.length > this.#longest ? undefined : this.#results.get(text);
  }

  set(text: string, result: Result): void {
    if (text.length > this.#longest) return;
    if (this.#results.size >= this.#entries) this.#results.clear();
    this.#results.set(ownCopy(text), result);
  }
}

/** A text with memory of its own: engines let a part of a text hold all of it. */
function ownCopy(text: string): string {
  return ` ${text}`.slice(1);
}
