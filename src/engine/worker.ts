/**
 * The engine's thread. Waiting on Dawn spins the thread that waits, so it happens here and the main thread stays responsive.
 *
 * @module
 */

import { toErrorRecord } from '../errors.ts';
import { Bell, sleepBy } from '../gpu/pace.ts';
import { parentPort, workerData } from '../platform/index.ts';
import { LocalEngine } from './local.ts';
import type { ClientMessage, EngineThreadData, WorkerMessage } from './protocol.ts';
import type {
  BenchRequest,
  DataRow,
  EmbedRequest,
  EvaluateRequest,
  FindLearningRateRequest,
  GenerateRequest,
  TrainRequest,
} from './types.ts';

const port = parentPort!;
const send = (message: WorkerMessage): void => port.postMessage(message);
const aborts = new Map<number, AbortController>();
const calls = new Set<Promise<void>>();

async function handle(engine: LocalEngine, id: number, method: string, parameters: unknown[]): Promise<unknown> {
  const controller = new AbortController();
  aborts.set(id, controller);
  const { signal } = controller;
  const forward = async (stream: AsyncIterable<unknown>): Promise<void> => {
    for await (const event of stream) send({ kind: 'event', id, event });
  };
  try {
    switch (method) {
      case 'embed':
        return await engine.embed(parameters[0] as EmbedRequest, signal);
      case 'generate':
        return await forward(engine.generate(parameters[0] as GenerateRequest, signal));
      case 'train':
        return await forward(engine.train(parameters[0] as TrainRequest, signal));
      case 'findLearningRate':
        return await forward(engine.findLearningRate(parameters[0] as FindLearningRateRequest, signal));
      case 'evaluate':
        return await engine.evaluate(
          parameters[0] as EvaluateRequest,
          (done, total) => send({ kind: 'event', id, event: [done, total] }),
          signal,
        );
      case 'benchKernels':
        return await engine.benchKernels(
          parameters[0] as BenchRequest,
          (...progress) => send({ kind: 'event', id, event: progress }),
          signal,
        );
      case 'forwardRun':
        return await engine.forwardRun(parameters[0] as string, parameters[1] as DataRow[], signal);
      case 'info':
      case 'loadModel':
      case 'unloadModel':
      case 'models':
      case 'tokenizerInfo':
      case 'tokenize':
      case 'tokenizeChat':
      case 'tokenStrings':
      case 'detokenize':
      case 'createRun':
      case 'probeRun':
      case 'applyRun':
      case 'stepRun':
      case 'replayRun':
      case 'exportRun': {
        const call = engine[method] as (...values: unknown[]) => Promise<unknown>;
        return await call.apply(engine, parameters);
      }
      default:
        throw new Error(`the engine has no method "${method}"`);
    }
  } finally {
    aborts.delete(id);
  }
}

/** Ends what is under way, so that runs are saved and their journals free, and then the engine. */
async function close(engine: LocalEngine): Promise<void> {
  for (const controller of aborts.values()) controller.abort();
  await Promise.all(calls);
  await engine.close();
}

try {
  const { options, bell } = workerData as EngineThreadData;
  sleepBy(new Bell(bell));
  const engine = await LocalEngine.open(options);
  port.on('message', (message: ClientMessage) => {
    if (message.kind === 'abort') {
      aborts.get(message.id)?.abort();
      return;
    }
    const { id, method } = message;
    const work = method === 'close' ? close(engine) : handle(engine, id, method, message.arguments);
    const call = work
      .then(
        (value) => send({ kind: 'result', id, value }),
        (error) => send({ kind: 'error', id, error: toErrorRecord(error) }),
      )
      .finally(() => calls.delete(call));
    if (method !== 'close') calls.add(call);
  });
  send({ kind: 'ready' });
} catch (error) {
  send({ kind: 'failed', error: toErrorRecord(error) });
}
