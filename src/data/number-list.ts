/**
 * A list of numbers that grows, of which each takes four bytes: data sets have millions of rows.
 *
 * @module
 */

/** Whole numbers from 0 to 2^32 − 1 in their order. */
export class NumberList implements Iterable<number> {
  #numbers = new Uint32Array(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(number: number): void {
    if (this.#length === this.#numbers.length) {
      const longer = new Uint32Array(2 * this.#length);
      longer.set(this.#numbers);
      this.#numbers = longer;
    }
    this.#numbers[this.#length++] = number;
  }

  /** @param index from 0, or from the end if it is negative */
  at(index: number): number | undefined {
    return this.values().at(index);
  }

  /** The numbers without a copy, until the next is added. */
  values(): Uint32Array {
    return this.#numbers.subarray(0, this.#length);
  }

  [Symbol.iterator](): Iterator<number> {
    return this.values()[Symbol.iterator]();
  }
}
