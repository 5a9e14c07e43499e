/**
 * All sinks of a run as one.
 *
 * @module
 */

import { ResourceStack } from '../resource-stack.ts';
import { openCurveSink } from './curve.ts';
import { openMetricsSink } from './metrics.ts';
import type { RunSink, SinkRun } from './sink.ts';
import { openBoardSink } from './tensorboard.ts';

/** In the order in which they take events. One that a run does not want opens none. */
const openers: readonly ((run: SinkRun) => Promise<RunSink | undefined>)[] = [
  openMetricsSink,
  openBoardSink,
  openCurveSink,
];

/** Opens the sinks that a run wants. @throws SubzeroError `io` or `not_found` if one cannot be made */
export async function openSinks(run: SinkRun): Promise<RunSink> {
  const resources = new ResourceStack();
  const sinks: RunSink[] = [];
  try {
    for (const open of openers) {
      const sink = await open(run);
      if (sink) sinks.push(resources.own(sink, (it) => it.close()));
    }
  } catch (error) {
    throw await resources.fail(error);
  }
  return {
    async take(event) {
      for (const sink of sinks) await sink.take(event);
    },
    async finish() {
      for (const sink of sinks) await sink.finish();
    },
    close: () => resources.close(),
  };
}
