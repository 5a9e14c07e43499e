/**
 * Seeded inputs of kernel cases.
 *
 * @module
 */

/** A small fast generator (sfc32). It is deliberately not the generator under test. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  #spare: number | undefined;

  /** @param name name of the case, which makes its numbers independent of the other cases that run */
  constructor(seed: number, name = '') {
    let hash = 0x811c9dc5;
    for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
    this.#a = hash | 0;
    this.#b = seed | 0;
    this.#c = Math.floor(seed / 2 ** 32) | 0;
    for (let index = 0; index < 12; index++) this.#next();
  }

  #next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** An unsigned 32-bit number. */
  word(): number {
    return this.#next();
  }

  /** A number in [0, 1). */
  uniform(): number {
    return this.#next() * 2 ** -32;
  }

  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low + 1));
  }

  /** One of the values. */
  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)]!;
  }

  normal(): number {
    if (this.#spare !== undefined) {
      const value = this.#spare;
      this.#spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /**
   * Returns `count` normal numbers of the given mean and standard deviation, as f32. Beyond a few million, random
   * pieces of a pool are repeated, because drawing all numbers would take longer than the case itself.
   */
  normals(count: number, deviation = 1, mean = 0): Float32Array<ArrayBuffer> {
    const values = new Float32Array(count);
    const drawn = Math.min(count, 1 << 22);
    for (let index = 0; index < drawn; index++) values[index] = mean + deviation * this.normal();
    const piece = 4099;
    for (let index = drawn; index < count; index += piece) {
      const from = this.integer(0, drawn - piece);
      values.copyWithin(index, from, from + Math.min(piece, count - index));
    }
    return values;
  }
}
