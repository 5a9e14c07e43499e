/**
 * How a run lets others take part in it: what the training loop hands over, and what it gets.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { ExampleLoss } from '../objectives/loss.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
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

export type ShareRun = (run: RunToShare) => Promise<SharedRun>;
