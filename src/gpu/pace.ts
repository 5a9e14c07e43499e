/**
 * Waiting for the GPU without burning a core.
 *
 * Dawn's bindings wait by polling: each turn of the event loop asks whether the work is done and schedules the next turn at once, so
 * the waiting thread spins. On a software adapter that takes a whole core from the very threads that do the work, and on a GPU it
 * heats the machine for nothing. Each turn also leaves a function with a finalizer behind, of which garbage collection gets rid only slowly: thousands of turns a
 * second made for pauses of 50 ms. So each turn sleeps: long where the end is known to be far, little where it may come at any time.
 *
 * @module
 */

import { afterEvents, blockWhile } from '../platform/index.ts';

/** How long to spin where no longer wait is expected; most reads on a GPU are done by then. */
const spinMilliseconds = 0.3;

/** The shortest and the longest sleep: what may be added to the end of the work, and to messages for a thread without a {@link Bell}. */
const sleepMilliseconds = { least: 0.2, most: 2 };

/** What is known of a wait; milliseconds. */
export interface Expectation {
  /** How long it should take in all; 0 if unknown. */
  expected?: number;
  /** How much later than its end it may be noticed. */
  slack?: number;
}

/** Share of the time waited so far that a sleep may add to it. */
const sleepShare = 1 / 32;

/**
 * How long to sleep before looking again.
 * @param waited milliseconds since the wait began
 */
export function sleepLength(waited: number, { expected = 0, slack = 0 }: Expectation = {}): number {
  const { least, most } = sleepMilliseconds;
  if (Math.max(expected, waited) < spinMilliseconds) return slack;
  const wanted = expected > waited ? (expected - waited) / 2 : waited * sleepShare;
  return Math.min(most, Math.max(least, slack, wanted));
}

/** Wakes a sleeping thread when there is something else for it to do, such as a message. Works across threads. */
export class Bell {
  readonly memory: SharedArrayBuffer;
  readonly #rings: Int32Array<SharedArrayBuffer>;
  #heard = 0;

  /** @param memory that of the same bell in another thread */
  constructor(memory = new SharedArrayBuffer(4)) {
    this.memory = memory;
    this.#rings = new Int32Array(memory);
  }

  ring(): void {
    Atomics.add(this.#rings, 0, 1);
    Atomics.notify(this.#rings, 0);
  }

  /** Sleeps until the bell rings; not at all if it has rung since the last sleep. */
  sleep(milliseconds: number): void {
    blockWhile(this.#rings, this.#heard, milliseconds);
    this.#heard = Atomics.load(this.#rings, 0);
  }
}

let bell = new Bell();

/** Has this thread woken by a bell that others ring. */
export function sleepBy(other: Bell): void {
  bell = other;
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
  if (length > 0) bell.sleep(length);
  afterEvents(turn);
}

/** Passes a promise of the GPU on, while the thread mostly sleeps. */
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
