/**
 * Estimates of how long kernels take on this adapter, learned from the work itself. They decide where work that shares
 * the GPU is cut into pieces.
 *
 * @module
 */

import type { Kernel } from './kernel.ts';

/** The kernels of a submission with the work of each, in any unit that its time is proportional to. */
export type KernelWork = Map<Kernel, number>;

/** Largest factor by which one observation may correct an estimate. */
const largestCorrection = 8;

/**
 * Weight of an observation of a well-known kernel. It is not zero, because an adapter with other users changes its
 * speed.
 */
const steadyGain = 0.1;

export class PieceTimes {
  readonly #known = new WeakMap<Kernel, { millisecondsPerUnit: number; observations: number }>();
  readonly #initial: number;

  /** @param initial assumed milliseconds per unit of work of an unknown kernel */
  constructor(initial: number) {
    this.#initial = initial;
  }

  #entry(kernel: Kernel): { millisecondsPerUnit: number; observations: number } {
    let entry = this.#known.get(kernel);
    if (!entry) {
      entry = { millisecondsPerUnit: this.#initial, observations: 0 };
      this.#known.set(kernel, entry);
    }
    return entry;
  }

  /** Estimated milliseconds for some work of a kernel. */
  estimate(kernel: Kernel, work: number): number {
    return this.#entry(kernel).millisecondsPerUnit * work;
  }

  /** Corrects the estimates of a submission's kernels by the time that it took, each in proportion to its share. */
  observe(work: KernelWork, milliseconds: number): void {
    let expected = 0;
    for (const [kernel, units] of work) expected += this.estimate(kernel, units);
    if (!(expected > 0 && milliseconds > 0)) return;
    const ratio = Math.min(largestCorrection, Math.max(1 / largestCorrection, milliseconds / expected));
    for (const [kernel, units] of work) {
      const entry = this.#entry(kernel);
      const share = (entry.millisecondsPerUnit * units) / expected;
      const gain = Math.max(steadyGain, 1 / ++entry.observations);
      entry.millisecondsPerUnit *= ratio ** (gain * share);
    }
  }
}
