/**
 * How long kernels take on this adapter, learned from the work itself: what decides where work that shares the GPU is cut.
 *
 * @module
 */

import type { Kernel } from './kernel.ts';

/** Kernels of a submission and how much work each does, in any unit that its time is proportional to. */
export type KernelWork = Map<Kernel, number>;

/** Most by which one observation moves an estimate. */
const largestCorrection = 8;

/** Share of an observation that counts once a kernel is known well: adapters that others use too change their speed. */
const steadyGain = 0.1;

export class PieceTimes {
  readonly #known = new WeakMap<Kernel, { millisecondsPerUnit: number; observations: number }>();
  readonly #initial: number;

  /** @param initial milliseconds that one unit of work of an unknown kernel is taken for */
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

  /** Milliseconds that some work of a kernel takes, about. */
  estimate(kernel: Kernel, work: number): number {
    return this.#entry(kernel).millisecondsPerUnit * work;
  }

  /** Corrects the estimates of the kernels of a submission by the time that it took, each by its share. */
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
