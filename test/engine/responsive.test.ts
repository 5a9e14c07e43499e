import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import { optionRows, removeTemporary, temporaryFolder, writeRows } from '../train/tiny.ts';

afterAll(removeTemporary);

/** The interval of the timer that measures, in milliseconds; what a timer is late beyond it is the delay. */
const resolution = 5;
const seconds = 6;

/** The 99th percentile of the delay in milliseconds, and the share of the time that passed in gaps over 40 ms. */
interface Delays {
  p50: number;
  p99: number;
  maximum: number;
  /** A thread that is blocked for long counts once in a percentile, but with all its time here. */
  lost: number;
}

/**
 * Measures this thread's event loop for a while. Plain JavaScript inside: it is also run in a process that does nothing
 * else.
 */
async function measure(monitor: typeof monitorEventLoopDelay, milliseconds: number, interval: number): Promise<Delays> {
  const delay = monitor({ resolution: interval });
  delay.enable();
  let [last, total, inGaps] = [performance.now(), 0, 0];
  const heartbeat = setInterval(() => {
    const now = performance.now();
    total += now - last;
    if (now - last > 40) inGaps += now - last;
    last = now;
  }, interval);
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  clearInterval(heartbeat);
  delay.disable();
  const late = (nanoseconds: number): number => nanoseconds / 1e6 - interval;
  const [p50, p99] = [late(delay.percentile(50)), late(delay.percentile(99))];
  return { p50, p99, maximum: late(delay.max), lost: inGaps / total };
}

/** The same in an idle process: how late timers are on this machine at this time, whoever else uses it. */
async function measureIdleProcess(milliseconds: number): Promise<Delays> {
  const program = `import { monitorEventLoopDelay } from 'node:perf_hooks';
    console.log(JSON.stringify(await (${measure.toString()})(monitorEventLoopDelay, ${milliseconds}, ${resolution})));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  await new Promise((resolve) => child.on('close', resolve));
  return JSON.parse(output) as Delays;
}

test('the main thread stays responsive while the engine trains and generates', async () => {
  const model = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
  const engine = await openEngine();
  await engine.loadModel({ id: 'reviews', path: model });
  const abort = new AbortController();
  const configuration = { steps: 1000, batchSize: 8, rank: 8, learningRate: 1e-6 };
  const data = { file: writeRows(optionRows()) };
  const request = { model, data, configuration, out: join(temporaryFolder(), 'run') };
  let steps = 0;
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const training = (async () => {
    for await (const event of engine.train(request, abort.signal)) {
      if (event.type === 'step' && steps++ === 0) begin();
    }
  })();
  const generating = (async () => {
    while (!abort.signal.aborted) {
      for await (const _ of engine.generate({ model: 'reviews', prompt: 'The film was', maxTokens: 40 }, abort.signal));
    }
  })();
  await Promise.race([begun, training]);
  const [busy, idle] = await Promise.all([
    measure(monitorEventLoopDelay, seconds * 1000, resolution),
    measureIdleProcess(seconds * 1000),
  ]);
  abort.abort();
  await Promise.all([training, generating]);
  await engine.close();
  const describe = ({ p50, p99, maximum, lost }: Delays): string =>
    `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, maximum ${maximum.toFixed(1)} ms, ` +
    `${(100 * lost).toFixed(1)} % in gaps over 40 ms`;
  console.log(`event-loop delay over ${steps} steps: ${describe(busy)}; of an idle process: ${describe(idle)}`);
  expect(steps).toBeGreaterThan(3);
  expect(busy.p99).toBeLessThanOrEqual(20 + 2 * Math.max(0, idle.p99));
  // A thread that waits for the GPU itself loses most of its time; other processes on the machine cost some, too.
  expect(busy.lost).toBeLessThanOrEqual(0.2 + 2 * idle.lost);
});
