/**
 * The engine's thread. Waiting on Dawn spins the thread that waits, so it happens here and the main thread stays
 * responsive.
 *
 * @module
 */

import { toErrorRecord } from '../errors.ts';
import { sleepBy, WakeSignal } from '../gpu/pace.ts';
import { endThread, parentPort, workerData } from '../platform/index.ts';
import { LocalEngine } from './local.ts';
import {
  type ClientMessage,
  type EngineThreadData,
  joinArguments,
  type MethodName,
  methods,
  type WorkerMessage,
} from './protocol.ts';

const port = parentPort!;
const send = (message: WorkerMessage): void => port.postMessage(message);
const aborts = new Map<number, AbortController>();
const calls = new Set<Promise<void>>();

async function perform(engine: LocalEngine, id: number, name: MethodName, data: unknown[]): Promise<unknown> {
  const [answer, ...kinds] = methods[name];
  const controller = new AbortController();
  aborts.set(id, controller);
  const tell = (event: unknown): void => send({ kind: 'event', id, event });
  const values = joinArguments(kinds, { data, progress: (...progress) => tell(progress), signal: controller.signal });
  try {
    const result: unknown = Reflect.apply(engine[name], engine, values);
    if (answer === 'once') return await result;
    for await (const event of result as AsyncIterable<unknown>) tell(event);
    return undefined;
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
  const { options, wakeSignal } = workerData as EngineThreadData;
  sleepBy(new WakeSignal(wakeSignal));
  const engine = await LocalEngine.open(options);
  port.on('message', (message: ClientMessage) => {
    const { id } = message;
    if (message.kind === 'abort') {
      aborts.get(id)?.abort();
      return;
    }
    const work = message.kind === 'close' ? close(engine) : perform(engine, id, message.method, message.data);
    const call = work
      .then(
        (value) => send({ kind: 'result', id, value }),
        (error) => send({ kind: 'error', id, error: toErrorRecord(error) }),
      )
      .finally(() => {
        calls.delete(call);
        // The thread ends by itself, once Dawn has answered everything: Dawn aborts the process where a thread is
        // terminated that it still owes an answer.
        if (message.kind === 'close') endThread();
      });
    if (message.kind === 'call') calls.add(call);
  });
  send({ kind: 'ready' });
} catch (error) {
  send({ kind: 'failed', error: toErrorRecord(error) });
}
