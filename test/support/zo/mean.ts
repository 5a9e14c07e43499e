/** A running mean with its standard error (Welford). */
export class Mean {
  #count = 0;
  #mean = 0;
  #squares = 0;

  add(value: number): void {
    this.#count++;
    const difference = value - this.#mean;
    this.#mean += difference / this.#count;
    this.#squares += difference * (value - this.#mean);
  }

  get value(): number {
    return this.#mean;
  }

  /** The standard deviation of the mean. */
  get error(): number {
    return Math.sqrt(this.#squares / (this.#count - 1) / this.#count);
  }
}
