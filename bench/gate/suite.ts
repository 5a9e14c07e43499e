/**
 * The fixed suite of `bench gate`, and what its processes tell each other.
 *
 * @module
 */

export interface GateRequest {
  /** The folder of the revision. */
  root: string;
  /** A model directory, and a JSON Lines file of rows with options. */
  model: string;
  data: string;
  /** A folder for training runs. */
  out: string;
  adapter?: string;
}

/** The suite; `load` comes first. */
export const parts = ['load', 'training', 'evaluation', 'generation'] as const;
export type Part = (typeof parts)[number];

export const sizes = { steps: 3, batchSize: 16, evaluated: 32, generated: 64 } as const;

/** What a part took; `null` for what this revision does not let itself be asked. */
export interface Spent {
  /** Seconds of all threads of this process, those of a software adapter included. */
  processor: number;
  /** Seconds by the clock. */
  wall: number;
  dispatches: number | null;
  /** The most bytes of buffers at a time so far. */
  peakBytes: number | null;
}

export type Answer =
  | { type: 'ready' }
  | { type: 'done'; spent: Spent; adapter: { description: string; software: boolean }; result: number | string }
  | { type: 'failed'; message: string };
