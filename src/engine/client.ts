/**
 * The engine as the server and the command line use it: the same interface, with the work in another thread.
 *
 * @module
 */

import { type ErrorRecord, fromErrorRecord, SubzeroError } from '../errors.ts';
import { EventQueue } from '../event-queue.ts';
import type { OpenDeviceOptions } from '../gpu/device.ts';
import { WakeSignal } from '../gpu/pace.ts';
import { startWorker, type Worker } from '../platform/index.ts';
import {
  type ClientMessage,
  type EngineMethods,
  type EngineThreadData,
  methods,
  type SplitArguments,
  splitArguments,
  type WorkerMessage,
} from './protocol.ts';
import type { Engine } from './types.ts';

/** How long the thread may take to end by itself after its engine is closed. */
const mostMillisecondsToEnd = 5000;

interface PendingCall {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  event?(event: unknown): void;
}

/** The thread, as whoever calls its methods sees it. */
class EngineThread {
  readonly #worker: Worker;
  readonly #wakeSignal: WakeSignal;
  readonly #calls = new Map<number, PendingCall>();
  #nextId = 1;
  #closed: Error | undefined;
  #closing: Promise<void> | undefined;
  readonly #exited: Promise<void>;

  constructor(worker: Worker, wakeSignal: WakeSignal) {
    this.#worker = worker;
    this.#wakeSignal = wakeSignal;
    worker.on('message', (message: WorkerMessage) => this.#receive(message));
    worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#exited = new Promise((resolve) => {
      worker.on('exit', () => {
        this.#fail(new SubzeroError('device_lost', 'the engine thread has ended'));
        resolve();
      });
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    const ended = this.#ask((id) => ({ kind: 'close', id }));
    this.#closed = new SubzeroError('conflict', 'the engine is closed');
    await ended;
    const deadline = setTimeout(() => void this.#worker.terminate(), mostMillisecondsToEnd);
    await this.#exited;
    clearTimeout(deadline);
  }

  #send(message: ClientMessage): void {
    this.#worker.postMessage(message);
    this.#wakeSignal.wake();
  }

  /** A call with one answer. @param event told each item of a stream */
  async call(method: keyof EngineMethods, values: SplitArguments, event?: (event: unknown) => void): Promise<unknown> {
    const { data, progress, signal } = values;
    const report = progress && ((of: unknown): void => progress(...(of as unknown[])));
    return await this.#ask((id) => ({ kind: 'call', id, method, data }), event ?? report, signal);
  }

  /** A call that is answered by a stream. */
  async *stream(method: keyof EngineMethods, values: SplitArguments): AsyncGenerator<unknown> {
    const queue = new EventQueue<unknown>();
    // A consumer that leaves early (break, return) stops the work as an abort does.
    const left = new AbortController();
    const signal = values.signal ? AbortSignal.any([values.signal, left.signal]) : left.signal;
    const call = this.call(method, { ...values, signal }, (event) => queue.push(event)).then(
      () => queue.end(),
      (error) => queue.end(error),
    );
    try {
      yield* queue.drain();
    } finally {
      left.abort();
      await call;
    }
  }

  async #ask(
    message: (id: number) => ClientMessage,
    event?: (event: unknown) => void,
    signal?: AbortSignal,
  ): Promise<unknown> {
    if (this.#closed) throw this.#closed;
    const id = this.#nextId++;
    const abort = (): void => this.#send({ kind: 'abort', id });
    this.#send(message(id));
    const result = new Promise<unknown>((resolve, reject) => {
      this.#calls.set(id, { resolve, reject, ...(event ? { event } : {}) });
    });
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      return await result;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  #receive(message: WorkerMessage): void {
    if (message.kind === 'ready' || message.kind === 'failed') return;
    const call = this.#calls.get(message.id);
    if (!call) return;
    if (message.kind === 'event') {
      call.event?.(message.event);
      return;
    }
    this.#calls.delete(message.id);
    if (message.kind === 'result') call.resolve(message.value);
    else call.reject(fromErrorRecord(message.error));
  }

  #fail(error: Error): void {
    this.#closed ??= error;
    for (const call of this.#calls.values()) call.reject(this.#closed);
    this.#calls.clear();
  }
}

/** The engine of a thread: each method as the table has it. */
function engineOf(thread: EngineThread): Engine {
  const names = Object.keys(methods) as (keyof EngineMethods)[];
  const calls = names.map((name) => {
    const [answer, ...kinds] = methods[name];
    const call = (...values: unknown[]) => {
      const split = splitArguments(kinds, values);
      return answer === 'stream' ? thread.stream(name, split) : thread.call(name, split);
    };
    return [name, call] as const;
  });
  return { ...(Object.fromEntries(calls) as unknown as EngineMethods), close: () => thread.close() };
}

/**
 * Opens the GPU in a worker thread.
 *
 * @throws SubzeroError `no_adapter` when there is none
 */
export async function openEngine(options: OpenDeviceOptions = {}): Promise<Engine> {
  const wakeSignal = new WakeSignal();
  const data: EngineThreadData = { options, wakeSignal: wakeSignal.memory };
  const worker = startWorker('./worker.ts', import.meta.url, { data });
  await new Promise<void>((resolve, reject) => {
    const refuse = (record: ErrorRecord): void => {
      void worker.terminate();
      reject(fromErrorRecord(record));
    };
    worker.once('message', (message: WorkerMessage) => {
      if (message.kind === 'ready') resolve();
      else if (message.kind === 'failed') refuse(message.error);
    });
    worker.once('error', reject);
    worker.once('exit', () => reject(new SubzeroError('gpu', 'the engine thread ended before the GPU was open')));
  });
  return engineOf(new EngineThread(worker, wakeSignal));
}
