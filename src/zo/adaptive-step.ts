/**
 * Steps of a length that does not depend on the scale of the loss, by one number: the running mean of the squared
 * projected gradients, whose root divides every step (after MEAZO, arXiv 2605.03869; docs/method.md, "The length of a
 * step").
 *
 * @module
 */

/** Added to the root, so that steps without any slope divide by something. */
const leastRoot = 1e-8;

/**
 * The mean of what steps measured, the last ones most: Σ βᵗ⁻ⁱ gᵢ / Σ βᵗ⁻ⁱ with gᵢ the mean of ρ² over the directions of
 * step i. The sum below is 1 − βᵗ but for a factor: the correction for the start at zero. Both are kept in f64 by sums
 * and products alone, so that every JavaScript engine has the same bits.
 */
export class AdaptiveStep {
  readonly #decay: number;
  #sum = 0;
  #weight = 0;

  /** @param decay β */
  constructor(decay: number) {
    this.#decay = decay;
  }

  /**
   * Takes a step in. Every step must come once and in order.
   * @param projectedGradients ρ of its directions
   * @returns what to multiply the step with: 1 / (√mean + 10⁻⁸)
   */
  scaleOf(projectedGradients: readonly number[]): number {
    let squares = 0;
    for (const rho of projectedGradients) squares += rho * rho;
    this.#sum = this.#decay * this.#sum + squares / projectedGradients.length;
    this.#weight = this.#decay * this.#weight + 1;
    return 1 / (Math.sqrt(this.#sum / this.#weight) + leastRoot);
  }

  /** All that steps have written. */
  get numbers(): readonly [sum: number, weight: number] {
    return [this.#sum, this.#weight];
  }

  set numbers([sum, weight]: readonly [sum: number, weight: number]) {
    this.#sum = sum;
    this.#weight = weight;
  }
}
