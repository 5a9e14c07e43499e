/**
 * The live runs: those that callers step through by themselves. They are in memory only; what a run has come to is its
 * trajectory, which the caller fetches and replays.
 *
 * @module
 */

import type { AppliedUpdate, Engine, StepRunInfo, StepUpdate } from '../../src/engine/types.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { invalid, notFound } from '../errors.ts';
import { createIdentifier } from '../identifiers.ts';
import type { Logger } from '../log.ts';
import { maxTrajectoryNumbers } from '../schemas/limits.ts';
import { Sequence } from './sequence.ts';

export interface LiveRun {
  id: string;
  /** The name of the base model. */
  model: string;
  info: StepRunInfo;
  /** The steps done, in order. */
  records: AppliedUpdate[];
  sequence: Sequence;
}

export class RunRegistry {
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #maxRuns: number;
  readonly #runs = new Map<string, LiveRun>();
  /** Runs that are being loaded. */
  readonly #opening = new Set<Promise<unknown>>();

  constructor(options: { engine: Engine; log: Logger; maxRuns: number }) {
    this.#engine = options.engine;
    this.#log = options.log;
    this.#maxRuns = options.maxRuns;
  }

  get count(): number {
    return this.#runs.size;
  }

  /**
   * Begins a run.
   * @throws ApiError 400 `too_many_runs`, or for a trajectory that could become too long; the engine's error if loading
   *   fails
   */
  async create(model: string, configuration: TrainConfiguration): Promise<LiveRun> {
    const { steps, queries } = configuration;
    if (steps * queries > maxTrajectoryNumbers) {
      throw invalid(
        `steps × queries is ${steps * queries}; a run keeps its trajectory, which may have at most ` +
          `${maxTrajectoryNumbers} numbers.`,
        'hyperparameters.steps',
      );
    }
    if (this.#runs.size + this.#opening.size >= this.#maxRuns) {
      throw invalid(
        `${this.#maxRuns} runs are live, as many as this server allows; delete one with DELETE /v1/zo/runs/{run_id}.`,
        null,
        'too_many_runs',
      );
    }
    const id = createIdentifier('zorun-');
    const opening = this.#engine.createRun({ id, model, configuration });
    this.#opening.add(opening);
    try {
      const run: LiveRun = { id, model, info: await opening, records: [], sequence: new Sequence() };
      this.#runs.set(id, run);
      this.#log.info('step run created', { run: id, model });
      return run;
    } finally {
      this.#opening.delete(opening);
    }
  }

  /** @throws ApiError 404 */
  get(id: string): LiveRun {
    const run = this.#runs.get(id);
    if (!run) throw notFound('run', id, 'run_id');
    return run;
  }

  /** Newest first. @returns `undefined` if `after` is not among them */
  page(limit: number, after: string | undefined): { data: LiveRun[]; hasMore: boolean } | undefined {
    const all = [...this.#runs.values()].reverse();
    const start = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
    if (after !== undefined && start === 0) return undefined;
    return { data: all.slice(start, start + limit), hasMore: all.length > start + limit };
  }

  async apply(run: LiveRun, update: StepUpdate): Promise<AppliedUpdate> {
    const record = await this.#engine.applyRun(run.id, update);
    run.records[record.step - 1] = record;
    return record;
  }

  async step(run: LiveRun, data: Record<string, unknown>[], options: { step?: number; learningRate?: number }) {
    const { probe, record } = await this.#engine.stepRun(run.id, data, options);
    run.records[record.step - 1] = record;
    return { probe, record };
  }

  async replay(run: LiveRun, records: AppliedUpdate[]): Promise<void> {
    await this.#engine.replayRun(run.id, records);
    for (const { step, learningRate, projectedGradients, curvatures } of records) {
      // As the engine applied them.
      run.records[step - 1] = {
        step,
        learningRate: Math.fround(learningRate),
        projectedGradients: projectedGradients.map(Math.fround),
        ...(curvatures ? { curvatures: curvatures.map(Math.fround) } : {}),
      };
    }
  }

  /** Frees a run after the operation under way. @throws ApiError 404 */
  async remove(id: string): Promise<void> {
    this.get(id);
    this.#runs.delete(id);
    await this.#engine.unloadModel(id);
  }

  /** Frees all runs; the engine may live on. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#opening);
    const ids = [...this.#runs.keys()];
    this.#runs.clear();
    const results = await Promise.allSettled(ids.map((id) => this.#engine.unloadModel(id)));
    for (const result of results) {
      if (result.status === 'rejected') this.#log.warn('a run could not be freed', { reason: String(result.reason) });
    }
  }
}
