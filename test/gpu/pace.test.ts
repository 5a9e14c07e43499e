import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { paced, sleepLength, WakeSignal } from '../../src/gpu/pace.ts';

/**
 * A promise that resolves after so many milliseconds, and how many turns of the event loop passed until `paced` gave it
 * on.
 */
async function turnsOf(milliseconds: number, expected = 0): Promise<number> {
  let turns = 0;
  let done = false;
  const count = (): void => {
    turns++;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  await paced(new Promise((resolve) => setTimeout(resolve, milliseconds)), { expected });
  done = true;
  return turns;
}

describe('the length of a sleep', () => {
  it('is nothing at first where nothing is known, and a small share of the wait later', () => {
    expect(sleepLength(0)).toBe(0);
    expect(sleepLength(0.2)).toBe(0);
    expect(sleepLength(1)).toBe(0.2);
    expect(sleepLength(32)).toBe(1);
    expect(sleepLength(1000)).toBe(2);
  });

  it('is half of what is left where the end is known', () => {
    expect(sleepLength(0, { expected: 10 })).toBe(2);
    expect(sleepLength(8, { expected: 10 })).toBe(1);
    expect(sleepLength(9.9, { expected: 10 })).toBe(0.2);
    // A sleep would be longer than the wait.
    expect(sleepLength(0, { expected: 0.1 })).toBe(0);
  });

  it('is short again once the expected end has passed', () => {
    expect(sleepLength(5, { expected: 5 })).toBe(0.2);
    expect(sleepLength(0.1, { expected: 0.1 })).toBe(0);
  });

  it('is the slack where that is longer, never more than the longest', () => {
    expect(sleepLength(0, { slack: 1 })).toBe(1);
    expect(sleepLength(4.5, { expected: 5, slack: 1 })).toBe(1);
    expect(sleepLength(0, { expected: 3, slack: 1 })).toBe(1.5);
    expect(sleepLength(6, { expected: 5, slack: 1 })).toBe(1);
    expect(sleepLength(0, { expected: 100, slack: 1 })).toBe(2);
  });
});

describe('waiting for the GPU', () => {
  it('takes few turns of the event loop', async () => {
    // 0.2 ms each would be 500, spinning tens of thousands.
    expect(await turnsOf(100)).toBeLessThan(250);
    expect(await turnsOf(100, 100)).toBeLessThan(100);
  });

  it('sleeps no longer than the shortest of several waits asks for', async () => {
    const long = paced(new Promise((resolve) => setTimeout(resolve, 60)), { expected: 60 });
    const started = performance.now();
    await paced(Promise.resolve());
    expect(performance.now() - started).toBeLessThan(30);
    await long;
  });

  it('passes failures on and goes on waiting for the others', async () => {
    const other = paced(new Promise((resolve) => setTimeout(() => resolve('done'), 20)));
    await expect(paced(Promise.reject(new Error('lost')))).rejects.toThrow('lost');
    expect(await other).toBe('done');
  });
});

describe('a wake signal', () => {
  it('wakes a sleeper in another thread', async () => {
    const signal = new WakeSignal();
    const ringer = new Worker(
      `const { workerData } = require('node:worker_threads');
       const rings = new Int32Array(workerData);
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
       Atomics.add(rings, 0, 1);
       Atomics.notify(rings, 0);`,
      { eval: true, workerData: signal.memory },
    );
    await new Promise((resolve) => ringer.once('online', resolve));
    const started = performance.now();
    signal.sleep(10_000);
    expect(performance.now() - started).toBeLessThan(5000);
    await ringer.terminate();
  });

  it('that rang before the sleep keeps from sleeping, once', () => {
    const signal = new WakeSignal();
    const rung = new WakeSignal(signal.memory);
    rung.wake();
    let started = performance.now();
    signal.sleep(10_000);
    expect(performance.now() - started).toBeLessThan(5000);
    started = performance.now();
    signal.sleep(20);
    expect(performance.now() - started).toBeGreaterThan(15);
  });
});
