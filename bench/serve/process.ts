/**
 * The server that `bench serve` measures, in a process of its own: sends its address, and on every message the delays
 * of its event loop since the last one.
 *
 * @module
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { serve } from '../../server/serve.ts';
import { openEngine } from '../../src/engine/client.ts';

/** What the process says of its event loop, in milliseconds beyond the timer's own interval. */
export interface EventLoopDelay {
  p50: number;
  p99: number;
}

/** The timer's interval in milliseconds. */
const resolution = 5;

const [model, dataDirectory] = process.argv.slice(2);
const server = await serve({
  engine: await openEngine(),
  models: [{ id: 'model', path: model! }],
  port: 0,
  dataDirectory: dataDirectory!,
  logLevel: 'silent',
});
const delay = monitorEventLoopDelay({ resolution });
delay.enable();
const late = (percentile: number): number => Math.max(0, delay.percentile(percentile) / 1e6 - resolution);
process.on('message', () => {
  const delays: EventLoopDelay = { p50: late(50), p99: late(99) };
  delay.reset();
  process.send!(delays);
});
// The parent's end is this process's end, however it came.
process.on('disconnect', () => process.exit(0));
process.send!(server.url);
