/**
 * How fast a run goes.
 *
 * @module
 */

/** Counts what a process does for a run. Evaluations take time that is not the steps'. */
export class StepClock {
  readonly #started = performance.now();
  #evaluationSeconds = 0;
  #steps = 0;
  trainedTokens = 0;

  /** Since the process began with the run. */
  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /** Counts an evaluation. */
  evaluated(seconds: number): void {
    this.#evaluationSeconds += seconds;
  }

  /** Counts a step. @param tokens rows of its batch @param left steps to go */
  stepped(tokens: number, left: number) {
    this.#steps++;
    this.trainedTokens += tokens;
    const elapsedSeconds = this.seconds;
    const ownSeconds = elapsedSeconds - this.#evaluationSeconds;
    return {
      tokensPerSecond: this.trainedTokens / Math.max(1e-9, ownSeconds),
      elapsedSeconds,
      etaSeconds: (ownSeconds / this.#steps) * left,
      trainedTokens: this.trainedTokens,
    };
  }
}
