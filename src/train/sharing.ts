/**
 * How a run lets others take part in it: what the training loop hands over, and what it gets.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { ExampleLoss } from '../objectives/loss.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import type { Journal } from '../zo/journal.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { RunLog } from '../zo/run-log.ts';
import type { TrainEvent } from './events.ts';
import type { Scorer } from './score.ts';
import type { ScoreStep } from './shards.ts';

/** A run before its next step. */
export interface RunToShare {
  gpu: Gpu;
  folder: string;
  configuration: TrainConfiguration;
  log: RunLog;
  optimizer: ZerothOrderOptimizer;
  scorer: Scorer;
  lossOf: ExampleLoss;
  /** As they were read, without virtual tokens. */
  examples: readonly TokenizedExample[];
  /** Rows of a pass at most. */
  rows: number;
  /** Aborted when the run is to end after its step. */
  signal?: AbortSignal | undefined;
}

/** What a shared run has to tell: a message, or how those who take part are doing. */
export type SharingNotice = { level: 'info' | 'warn'; message: string } | Extract<TrainEvent, { type: 'cluster' }>;

/** A run in which others take part. */
export interface SharedRun {
  /** The log, of which the others have a copy. */
  log: Pick<RunLog, 'append'>;
  /** Scores a step's batch with the others. */
  scoreStep: ScoreStep;
  /** What there is to tell since the last call. */
  notices(): SharingNotice[];
  close(): Promise<void>;
}

/** A run that goes on: its base model is loaded, and no step of its journal applied. */
export interface RunToTakeUp {
  gpu: Gpu;
  folder: string;
  journal: Journal;
  optimizer: ZerothOrderOptimizer;
}

/** How runs are shared. */
export interface ShareRun {
  open(run: RunToShare): Promise<SharedRun>;
  /**
   * Brings a run forward without a replay, if the others have kept what it had become.
   * @returns the steps that are in its weights, with what there is to tell
   */
  takeUp(run: RunToTakeUp): Promise<{ step: number; notes: string[] }>;
}
