/**
 * How training and serving share one GPU: a step cannot be interrupted, so between two steps text that is being generated goes
 * first, for at most as long as a step takes. A completion then waits for one step instead of one step a token, and training
 * keeps at least half of its speed however much is generated.
 *
 * @module
 */

import type { TrainEvent } from './types.ts';

/**
 * Passes the events of a training stream on, and holds the next step back while others use the GPU.
 *
 * @param others resolves when nobody else uses the GPU; `undefined` when nobody does now
 */
export async function* considerately(
  events: AsyncIterable<TrainEvent>,
  others: () => Promise<unknown> | undefined,
  signal?: AbortSignal,
): AsyncGenerator<TrainEvent> {
  let begun = performance.now();
  for await (const event of events) {
    yield event;
    if (event.type !== 'step' || event.step >= event.steps) continue;
    const idle = others();
    if (idle) await settled(idle, performance.now() - begun, signal);
    begun = performance.now();
  }
}

/** Waits for the end of the work, the time or the abort, whichever comes first. */
async function settled(work: Promise<unknown>, milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) return;
  await new Promise<void>((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish, { once: true });
    work.then(finish, finish);
  });
}
