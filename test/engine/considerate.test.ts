import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { considerately } from '../../src/engine/considerate.ts';
import type { TrainEvent } from '../../src/engine/types.ts';

const stepMilliseconds = 40;

/** Steps that take a while each; `begun` counts those that were started. */
function training(steps: number) {
  const progress = { begun: 0 };
  async function* events(): AsyncGenerator<TrainEvent> {
    for (let step = 1; step <= steps; step++) {
      progress.begun++;
      await sleep(stepMilliseconds);
      yield { type: 'step', step, steps } as TrainEvent;
    }
  }
  return { progress, events: events() };
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

test('without others the steps follow each other at once', async () => {
  const { events } = training(3);
  const started = performance.now();
  const seen = await collect(considerately(events, () => undefined));
  expect(seen).toHaveLength(3);
  expect(performance.now() - started).toBeLessThan(3 * stepMilliseconds + 100);
});

test('the next step waits until the others are done', async () => {
  const { events, progress } = training(2);
  let end = () => {};
  const others = new Promise<void>((resolve) => (end = resolve));
  const stream = considerately(events, () => others);
  await stream.next();
  const second = stream.next();
  await sleep(stepMilliseconds / 4);
  expect(progress.begun).toBe(1);
  end();
  await second;
  expect(progress.begun).toBe(2);
});

test('others that never end hold a step back for as long as a step takes, no longer', async () => {
  const { events } = training(4);
  const started = performance.now();
  const seen = await collect(considerately(events, () => new Promise(() => {})));
  const elapsed = performance.now() - started;
  expect(seen).toHaveLength(4);
  expect(elapsed).toBeGreaterThan(7 * stepMilliseconds * 0.9);
  expect(elapsed).toBeLessThan(7 * stepMilliseconds + 300);
});

test('an abort ends the waiting', async () => {
  const { events } = training(2);
  const abort = new AbortController();
  const stream = considerately(events, () => new Promise(() => {}), abort.signal);
  await stream.next();
  const started = performance.now();
  const second = stream.next();
  abort.abort();
  await second;
  expect(performance.now() - started).toBeLessThan(2 * stepMilliseconds);
});
