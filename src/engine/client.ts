/**
 * The engine as the server and the command line use it: the same interface, with the work in another thread.
 *
 * @module
 */

import { type ErrorRecord, fromErrorRecord, SubzeroError } from '../errors.ts';
import { EventQueue } from '../generate/queue.ts';
import type { OpenDeviceOptions } from '../gpu/device.ts';
import { Bell } from '../gpu/pace.ts';
import { startWorker, type Worker } from '../platform/index.ts';
import type { ClientMessage, EngineThreadData, WorkerMessage } from './protocol.ts';
import type {
  BenchRequest,
  BenchResult,
  ChatMessage,
  DataRow,
  EmbedRequest,
  EmbedResult,
  Engine,
  EngineInfo,
  EvaluateRequest,
  EvaluationResult,
  FindEvent,
  FindLearningRateRequest,
  GenerateEvent,
  GenerateRequest,
  LoadModelRequest,
  ModelInfo,
  StepProbe,
  StepRecord,
  StepRunInfo,
  StepRunRequest,
  StepUpdate,
  TokenizeChatOptions,
  TokenizerInfo,
  TrainEvent,
  TrainRequest,
} from './types.ts';

interface PendingCall {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  event?(event: unknown): void;
}

class WorkerEngine implements Engine {
  readonly #worker: Worker;
  readonly #bell: Bell;
  readonly #calls = new Map<number, PendingCall>();
  #nextId = 1;
  #closed: Error | undefined;
  #closing: Promise<void> | undefined;

  constructor(worker: Worker, bell: Bell) {
    this.#worker = worker;
    this.#bell = bell;
    worker.on('message', (message: WorkerMessage) => this.#receive(message));
    worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', () => this.#fail(new SubzeroError('device_lost', 'the engine thread has ended')));
  }

  info(): Promise<EngineInfo> {
    return this.#call('info', []) as Promise<EngineInfo>;
  }

  loadModel(request: LoadModelRequest): Promise<ModelInfo> {
    return this.#call('loadModel', [request]) as Promise<ModelInfo>;
  }

  async unloadModel(id: string): Promise<void> {
    await this.#call('unloadModel', [id]);
  }

  models(): Promise<ModelInfo[]> {
    return this.#call('models', []) as Promise<ModelInfo[]>;
  }

  tokenizerInfo(model: string): Promise<TokenizerInfo> {
    return this.#call('tokenizerInfo', [model]) as Promise<TokenizerInfo>;
  }

  tokenize(model: string, text: string, addSpecialTokens = true): Promise<number[]> {
    return this.#call('tokenize', [model, text, addSpecialTokens]) as Promise<number[]>;
  }

  tokenizeChat(model: string, messages: ChatMessage[], options: TokenizeChatOptions = {}): Promise<number[]> {
    return this.#call('tokenizeChat', [model, messages, options]) as Promise<number[]>;
  }

  tokenStrings(model: string, tokens: number[]): Promise<string[]> {
    return this.#call('tokenStrings', [model, tokens]) as Promise<string[]>;
  }

  detokenize(model: string, tokens: number[]): ReturnType<Engine['detokenize']> {
    return this.#call('detokenize', [model, tokens]) as ReturnType<Engine['detokenize']>;
  }

  embed(request: EmbedRequest, signal?: AbortSignal): Promise<EmbedResult> {
    return this.#call('embed', [request], undefined, signal) as Promise<EmbedResult>;
  }

  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent> {
    return this.#stream('generate', request, signal);
  }

  train(request: TrainRequest, signal?: AbortSignal): AsyncIterable<TrainEvent> {
    return this.#stream('train', request, signal);
  }

  findLearningRate(request: FindLearningRateRequest, signal?: AbortSignal): AsyncIterable<FindEvent> {
    return this.#stream('findLearningRate', request, signal);
  }

  evaluate(
    request: EvaluateRequest,
    onProgress?: (done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<EvaluationResult> {
    const report = (event: unknown): void => {
      const [done, total] = event as [number, number];
      onProgress?.(done, total);
    };
    return this.#call('evaluate', [request], report, signal) as Promise<EvaluationResult>;
  }

  createRun(request: StepRunRequest): Promise<StepRunInfo> {
    return this.#call('createRun', [request]) as Promise<StepRunInfo>;
  }

  forwardRun(run: string, data: DataRow[], signal?: AbortSignal): Promise<EvaluationResult> {
    return this.#call('forwardRun', [run, data], undefined, signal) as Promise<EvaluationResult>;
  }

  probeRun(run: string, data: DataRow[], step?: number): Promise<StepProbe> {
    return this.#call('probeRun', [run, data, step]) as Promise<StepProbe>;
  }

  applyRun(run: string, update: StepUpdate): Promise<StepRecord> {
    return this.#call('applyRun', [run, update]) as Promise<StepRecord>;
  }

  stepRun(
    run: string,
    data: DataRow[],
    options: { step?: number; learningRate?: number } = {},
  ): Promise<{ probe: StepProbe; record: StepRecord }> {
    return this.#call('stepRun', [run, data, options]) as Promise<{ probe: StepProbe; record: StepRecord }>;
  }

  replayRun(run: string, records: StepRecord[]): Promise<StepRunInfo> {
    return this.#call('replayRun', [run, records]) as Promise<StepRunInfo>;
  }

  exportRun(request: Parameters<Engine['exportRun']>[0]): Promise<string[]> {
    return this.#call('exportRun', [request]) as Promise<string[]>;
  }

  benchKernels(
    request: BenchRequest,
    onProgress?: (name: string, done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<BenchResult> {
    const report = (event: unknown): void => onProgress?.(...(event as [string, number, number]));
    return this.#call('benchKernels', [request], report, signal) as Promise<BenchResult>;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    const ended = this.#call('close', []);
    this.#closed = new SubzeroError('conflict', 'the engine is closed');
    await ended;
    await this.#worker.terminate();
  }

  #send(message: ClientMessage): void {
    this.#worker.postMessage(message);
    this.#bell.ring();
  }

  async #call(
    method: string,
    parameters: unknown[],
    event?: (event: unknown) => void,
    signal?: AbortSignal,
  ): Promise<unknown> {
    if (this.#closed) throw this.#closed;
    const id = this.#nextId++;
    const abort = (): void => this.#send({ kind: 'abort', id });
    this.#send({ kind: 'call', id, method, arguments: parameters });
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

  async *#stream<T>(method: string, request: unknown, signal: AbortSignal | undefined): AsyncGenerator<T> {
    const queue = new EventQueue<T>();
    // A consumer that leaves early (break, return) stops the work as an abort does.
    const left = new AbortController();
    const both = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
    const call = this.#call(method, [request], (event) => queue.push(event as T), both).then(
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

/**
 * Opens the GPU in a worker thread.
 *
 * @throws SubzeroError `no_adapter` when there is none
 */
export async function openEngine(options: OpenDeviceOptions = {}): Promise<Engine> {
  const bell = new Bell();
  const data: EngineThreadData = { options, bell: bell.memory };
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
  return new WorkerEngine(worker, bell);
}
