/**
 * Waiting for the GPU without burning a core.
 *
 * Dawn's bindings wait by polling: each turn of the event loop asks whether the work is done and schedules the next turn at once, so
 * the waiting thread spins. On a software adapter that takes a whole core from the very threads that do the work, and on a GPU it
 * heats the machine for nothing. So after a short while of spinning, which keeps small reads fast, each turn sleeps a little.
 *
 * @module
 */

/** How long to spin before the first sleep; most reads on a GPU are done by then. */
const spinMilliseconds = 0.3;

/** Length of one sleep: the delay that it may add to the end of the work, and to messages for this thread. */
const sleepMilliseconds = 0.2;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** How many wait now, and when the last of them began: they all sleep together. */
let waiting = 0;
let begun = 0;
let turning = false;

function turn(): void {
  turning = waiting > 0;
  if (!turning) return;
  if (performance.now() - begun > spinMilliseconds) Atomics.wait(sleeper, 0, 0, sleepMilliseconds);
  setImmediate(turn);
}

/** Passes a promise of the GPU on, while the thread mostly sleeps. */
export async function paced<T>(work: Promise<T>): Promise<T> {
  begun = performance.now();
  waiting++;
  if (!turning) {
    turning = true;
    setImmediate(turn);
  }
  try {
    return await work;
  } finally {
    waiting--;
  }
}
