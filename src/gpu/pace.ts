/**
 * Waiting for the GPU without burning a core.
 *
 * Dawn's bindings wait by polling: each turn of the event loop asks whether the work is done and schedules the next
 * turn at once, so the waiting thread spins. On a software adapter that takes a whole core away from the threads that
 * do the work; on a GPU it wastes energy. Each turn also leaves a function with a finalizer behind, which garbage
 * collection frees only slowly: thousands of turns per second cause pauses of 50 ms. So each turn sleeps: long if the
 * end is known to be far away, briefly if it may come at any time.
 *
 * @module
 */

import { afterEvents, blockWhile } from '../platform/index.ts';

/** Milliseconds to spin if no longer wait is expected; most reads on a GPU are done by then. */
const spinMilliseconds = 0.3;

/**
 * Shortest and longest sleep. A sleep delays the end of the work, and messages to a thread without a {@link
 * WakeSignal}, by at most its length.
 */
const sleepMilliseconds = { least: 0.2, most: 2 };

/** What is known about a wait; in milliseconds. */
export interface Expectation {
  /** Expected length of the whole wait; 0 if unknown. */
  expected?: number;
  /** Acceptable delay until the end of the wait is noticed. */
  slack?: number;
}

/** Longest sleep as a share of the time waited so far. */
const sleepShare = 1 / 32;

/**
 * Returns the milliseconds to sleep before the next poll.
 * @param waited milliseconds since the wait began
 */
export function sleepLength(waited: number, { expected = 0, slack = 0 }: Expectation = {}): number {
  const { least, most } = sleepMilliseconds;
  if (Math.max(expected, waited) < spinMilliseconds) return slack;
  const wanted = expected > waited ? (expected - waited) / 2 : waited * sleepShare;
  return Math.min(most, Math.max(least, slack, wanted));
}

/** Wakes a sleeping thread when it has something else to do, such as a message to read. Works across threads. */
export class WakeSignal {
  readonly memory: SharedArrayBuffer;
  readonly #wakes: Int32Array<SharedArrayBuffer>;
  #seen = 0;

  /** @param memory the memory of the same signal in another thread */
  constructor(memory = new SharedArrayBuffer(4)) {
    this.memory = memory;
    this.#wakes = new Int32Array(memory);
  }

  wake(): void {
    Atomics.add(this.#wakes, 0, 1);
    Atomics.notify(this.#wakes, 0);
  }

  /** Sleeps until the signal comes or the time is over; does not sleep if it has come since the last sleep. */
  sleep(milliseconds: number): void {
    blockWhile(this.#wakes, this.#seen, milliseconds);
    this.#seen = Atomics.load(this.#wakes, 0);
  }
}

let wakeSignal = new WakeSignal();

/** Sets the signal with which other threads wake this thread. */
export function sleepBy(other: WakeSignal): void {
  wakeSignal = other;
}

interface Wait {
  begun: number;
  expectation: Expectation;
}

const waits = new Set<Wait>();
let turning = false;

function turn(): void {
  turning = waits.size > 0;
  if (!turning) return;
  const now = performance.now();
  let length = Number.POSITIVE_INFINITY;
  for (const { begun, expectation } of waits) length = Math.min(length, sleepLength(now - begun, expectation));
  if (length > 0) wakeSignal.sleep(length);
  afterEvents(turn);
}

/** Awaits a promise of the GPU while the thread mostly sleeps. */
export async function paced<T>(work: Promise<T>, expectation: Expectation = {}): Promise<T> {
  const wait = { begun: performance.now(), expectation };
  waits.add(wait);
  if (!turning) {
    turning = true;
    afterEvents(turn);
  }
  try {
    return await work;
  } finally {
    waits.delete(wait);
  }
}
