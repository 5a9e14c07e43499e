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

/** Passes a promise of the GPU on, while the thread mostly sleeps. */
export async function paced<T>(work: Promise<T>): Promise<T> {
  const started = performance.now();
  let done = false;
  const turn = (): void => {
    if (done) return;
    if (performance.now() - started > spinMilliseconds) Atomics.wait(sleeper, 0, 0, sleepMilliseconds);
    setImmediate(turn);
  };
  setImmediate(turn);
  try {
    return await work;
  } finally {
    done = true;
  }
}
