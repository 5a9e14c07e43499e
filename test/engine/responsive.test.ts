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
  let steps = 0;
  const training = (async () => {
    for await (const event of engine.train(request, abort.signal)) {
      if (event.type !== 'step') continue;
      // The first steps compile kernels and load data; they count, too.
      if (steps++ === 0) delay.enable();
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
  const percentile = delay.percentile(99) / 1e6 - resolution;
  console.log(
    `event-loop delay over ${steps} steps: p50 ${(delay.percentile(50) / 1e6 - resolution).toFixed(1)} ms, p99 ${percentile.toFixed(1)} ms, maximum ${(delay.max / 1e6 - resolution).toFixed(1)} ms`,
  );
  expect(steps).toBeGreaterThan(3);
  expect(percentile).toBeLessThanOrEqual(20);
});
