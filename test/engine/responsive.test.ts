import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import { optionRows, removeTemporary, temporaryFolder, writeRows } from '../train/tiny.ts';

afterAll(removeTemporary);

/** The interval of the timer that measures; what a timer is late beyond it is the delay. */
const resolution = 5;

test('the main thread stays responsive while the engine trains and generates', async () => {
  const model = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
  const engine = await openEngine();
  await engine.loadModel({ id: 'reviews', path: model });
  const abort = new AbortController();
  const configuration = { steps: 1000, batchSize: 8, rank: 8, learningRate: 1e-6 };
  const request = {
    model,
    data: { file: writeRows(optionRows()) },
    configuration,
    out: join(temporaryFolder(), 'run'),
  };
  const delay = monitorEventLoopDelay({ resolution });
  const gaps: number[] = [];
  let heartbeat: NodeJS.Timeout | undefined;
  let steps = 0;
  const training = (async () => {
    for await (const event of engine.train(request, abort.signal)) {
      if (event.type !== 'step') continue;
      // Kernels are compiled before the first step is announced; a process that has just started is no measure.
      if (steps++ > 0) continue;
      delay.enable();
      let last = performance.now();
      heartbeat = setInterval(() => {
        const now = performance.now();
        gaps.push(now - last);
        last = now;
      }, resolution);
    }
  })();
  const generating = (async () => {
    while (!abort.signal.aborted) {
      for await (const _ of engine.generate({ model: 'reviews', prompt: 'The film was', maxTokens: 40 }, abort.signal));
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 6000));
  delay.disable();
  abort.abort();
  await Promise.all([training, generating]);
  await engine.close();
  clearInterval(heartbeat);

  const milliseconds = (nanoseconds: number): number => nanoseconds / 1e6 - resolution;
  const p99 = milliseconds(delay.percentile(99));
  // A thread that is blocked for long counts once in a percentile; so the time lost in long gaps is looked at as well.
  const lost =
    gaps.filter((gap) => gap > 40).reduce((sum, gap) => sum + gap, 0) / gaps.reduce((sum, gap) => sum + gap, 0);
  console.log(
    `event-loop delay over ${steps} steps: p50 ${milliseconds(delay.percentile(50)).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ` +
      `maximum ${milliseconds(delay.max).toFixed(1)} ms; ${(100 * lost).toFixed(1)} % of the time in gaps over 40 ms`,
  );
  expect(steps).toBeGreaterThan(3);
  expect(p99).toBeLessThanOrEqual(20);
  expect(lost).toBeLessThan(0.05);
});
