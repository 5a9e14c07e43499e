/**
 * Notices runs that have gone wrong without a NaN.
 *
 * @module
 */

/** Steps whose mean loss is what the run began with. */
const firstSteps = 20;

/** Weight of a new loss in the running mean: about 20 steps count. */
const newWeight = 0.05;

/** The running mean at this multiple of the beginning's is no longer noise. */
const spikeFactor = 2;

/** Steps in a row without any slope after which the weights no longer matter to the loss. */
const flatSteps = 20;

export class LossWatchdog {
  #count = 0;
  #beginning = 0;
  #recent = 0;
  #flat = 0;
  #toldSpike = false;
  #toldFlat = false;

  /**
   * Looks at a finished step.
   * @returns what to tell the user, once per kind of trouble; undefined if all is well
   */
  observe(step: number, loss: number, projectedGradients: readonly number[]): string | undefined {
    this.#count++;
    if (this.#count <= firstSteps) this.#beginning += (loss - this.#beginning) / this.#count;
    this.#recent = this.#count === 1 ? loss : this.#recent + newWeight * (loss - this.#recent);
    this.#flat = projectedGradients.every((rho) => rho === 0) ? this.#flat + 1 : 0;

    if (this.#flat >= flatSteps && !this.#toldFlat) {
      this.#toldFlat = true;
      return (
        `step ${step}: ρ has been 0 for ${flatSteps} steps, so the loss no longer depends on the weights; the run has probably ` +
        'diverged. Stop it and try a learning rate ten times lower.'
      );
    }
    if (this.#count > firstSteps && this.#recent > spikeFactor * this.#beginning && !this.#toldSpike) {
      this.#toldSpike = true;
      return (
        `step ${step}: the loss has risen from ${this.#beginning.toFixed(3)} to about ${this.#recent.toFixed(3)}; ` +
        'the learning rate is probably too high.'
      );
    }
    return undefined;
  }
}
