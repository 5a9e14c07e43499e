/**
 * Messages between the engine's worker and its client: calls with one result, and streams of events.
 *
 * @module
 */

import type { ErrorRecord } from '../errors.ts';
import type { OpenDeviceOptions } from '../gpu/device.ts';

/** What the engine's thread is started with. */
export interface EngineThreadData {
  options: OpenDeviceOptions;
  /** The memory of the bell that wakes it for a message. */
  bell: SharedArrayBuffer;
}

export type ClientMessage =
  | { kind: 'call'; id: number; method: string; arguments: unknown[] }
  /** The caller is no longer interested: abort the signal of this call. */
  | { kind: 'abort'; id: number };

export type WorkerMessage =
  /** The engine is open, or could not be opened. */
  | { kind: 'ready' }
  | { kind: 'failed'; error: ErrorRecord }
  /** An item of a stream, or the progress of a call. */
  | { kind: 'event'; id: number; event: unknown }
  | { kind: 'result'; id: number; value: unknown }
  | { kind: 'error'; id: number; error: ErrorRecord };
