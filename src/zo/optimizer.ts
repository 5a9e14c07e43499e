/**
 * What the training loop, a replay and an export need of an optimiser; the way to one is create-optimizer.ts.
 *
 * @module
 */

import type { Probes } from '../ops/probes.ts';
import type { RecordField } from '../settings/methods.ts';
import type { BankLoss } from './bank.ts';
import type { CarriedBytes, CarriedState } from './carried-state.ts';

/** What the losses of a step's probes say; the journal keeps it. All values are f32 (`Math.fround`). */
export interface Measurement extends Partial<Readonly<Record<RecordField, readonly number[]>>> {
  /** ρ per query. */
  projectedGradients: readonly number[];
}

/** What is known of a step before it looks at anything. */
export interface PlannedStep {
  /** Zero-based. */
  step: number;
  /** η, exactly an f32. */
  learningRate: number;
}

/** The step of a run as the journal has it; everything that decides the update. */
export interface AppliedStep extends PlannedStep, Measurement {}

/**
 * Looks at the loss around the current parameters and moves them. Work is recorded; nothing is read back but by the
 * promises.
 */
export interface ZerothOrderOptimizer {
  /** Points that a step looks at. */
  readonly probeCount: number;
  /** Most probes of one {@link perturb} call: their states are in memory at the same time. */
  readonly probesAtOnce: number;
  /** Bytes of the state of one probe. */
  readonly probeBytes: number;
  /** Bytes that the method holds beyond the model itself, from {@link beginStep} on. */
  readonly factorBytes: number;
  /** Bytes of tables and of space to work in. */
  readonly scratchBytes: number;
  /** The model as it stands. */
  readonly current: Probes;
  /**
   * Changes {@link probesAtOnce}: to so many, or as many as there are or fit. With a budget (`memory`) it begins at
   * one.
   */
  reserveProbes(count: number): void;
  /**
   * Changes what dense methods have for pieces of perturbed weights, to so many bytes as far as they can use them. With
   * a budget it begins small.
   */
  reserveScratch(bytes: number): void;
  /**
   * What a limited rank has cost so far, for runs that keep their change beside the weights; `undefined` where nothing
   * can be lost, and before the first period has ended.
   */
  readonly bankLoss: BankLoss | undefined;
  /** Whether {@link renew} must come before {@link beginStep} of a step, and before work ahead of it is recorded. */
  waits(step: number): boolean;
  /** Does what a step needs that cannot be recorded, after all work that was; nothing where it does not wait. */
  renew(step: number): Promise<void>;
  /** Records what must happen before a step that does not wait. @param step zero-based */
  beginStep(step: number): void;
  /**
   * Records what some probes of a step see; valid until the next call. The weights are not written.
   * @param first the first probe; the order of all is that of `probePoints`
   * @param count at most {@link probesAtOnce}; all the rest by default
   */
  perturb(step: number, first?: number, count?: number): Probes;
  /** ρ, and what else the update needs, from the losses of all probes of a step in their order. */
  measure(losses: readonly number[], step: number): Measurement;
  /** Records the update of one step. */
  update(applied: AppliedStep): void;
  /** Records the update of a step before it is measured; {@link supply} must follow before it is submitted. */
  updateAhead(step: PlannedStep): void;
  /** Uploads what an update of {@link updateAhead} lacks. */
  supply(applied: AppliedStep): void;
  /**
   * Applies steps of a journal without any forward pass: the same kernels with the same numbers, so the same bits.
   * @param onProgress told the number of steps applied, between submissions
   */
  replay(steps: readonly AppliedStep[], onProgress?: (done: number) => void): Promise<void>;
  /** All that steps have written, as it stands. */
  carried(): CarriedState;
  /**
   * Takes the place of what another copy of the run carried between {@link beginStep} of a step and its update: the
   * same bits, whatever this one has done before.
   * @param step zero-based
   * @param bytes must fit, see `fitsCarried`
   */
  carryOn(step: number, bytes: CarriedBytes): void;
  /** Brings the weights that train, and {@link vectorValues}, to what the run made of them. The run cannot go on. */
  foldAll(): void;
  /** The 1-D parameters that train, as they stand, by name. */
  vectorValues(): Promise<Map<string, Float32Array>>;
  /** The tensors that the scheme adds to the model, as they stand, by name; none of full tuning. */
  adapterValues(): Promise<Map<string, Float32Array>>;
  destroy(): void;
}
