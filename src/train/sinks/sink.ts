/**
 * Where a run writes down what it tells.
 *
 * @module
 */

import type { TrainConfiguration } from '../../settings/configuration.ts';
import type { TrainEvent } from '../events.ts';

/** What is written down: all that belongs to a step. */
export type KeptEvent =
  | Extract<TrainEvent, { type: 'step' | 'evaluation' | 'cluster' }>
  | (Extract<TrainEvent, { type: 'message' }> & { step: number });

export interface RunSink {
  /**
   * Takes an event, before it is announced and, of a step, after it is in the journal. Await it before the next call.
   * @throws SubzeroError `io` if it cannot be written
   */
  take(event: KeptEvent): Promise<void>;
  /** Makes what shows the run as a whole, once all of its steps of this process are done. @throws SubzeroError `io` */
  finish(): Promise<void>;
  /** Calling it again does nothing. */
  close(): Promise<void>;
}

/** The run that a sink is opened for. */
export interface SinkRun {
  folder: string;
  configuration: TrainConfiguration;
  /** Steps done. */
  step: number;
  /** Method and model, for people. */
  title: string;
}
