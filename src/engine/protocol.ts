/**
 * What passes between the engine's thread and its client: calls with one result, and streams of events. A method of
 * the engine is one entry of {@link methods}; both sides do the rest by it.
 *
 * @module
 */

import type { ErrorRecord } from '../errors.ts';
import type { OpenDeviceOptions } from '../gpu/device.ts';
import type { Engine } from './types.ts';

/** What the engine's thread is started with. */
export interface EngineThreadData {
  options: OpenDeviceOptions;
  /** The memory of the signal that wakes it for a message. */
  wakeSignal: SharedArrayBuffer;
}

/** The methods that cross one by one; `close` ends the thread with them. */
export type EngineMethods = Omit<Engine, 'close'>;

export type MethodName = keyof EngineMethods;

/** How a parameter crosses: `data` is copied, `progress` is called from the other side, `signal` aborts the call. */
export type ParameterKind = 'data' | 'progress' | 'signal';

type KindOf<Parameter> = Parameter extends AbortSignal
  ? 'signal'
  : Parameter extends (...values: never[]) => unknown
    ? 'progress'
    : 'data';

type KindsOf<Parameters extends unknown[]> = { [Index in keyof Parameters]-?: KindOf<NonNullable<Parameters[Index]>> };

/** Whether a method has one answer or a stream of them, and the kinds of its parameters. */
type Shape<Method> = Method extends (...parameters: infer Parameters) => infer Answer
  ? readonly [Answer extends AsyncIterable<unknown> ? 'stream' : 'once', ...KindsOf<Parameters>]
  : never;

/** Every method with its shape, which the compiler checks against the interface. */
export const methods: { readonly [Name in MethodName]: Shape<Engine[Name]> } = {
  info: ['once'],
  loadModel: ['once', 'data'],
  unloadModel: ['once', 'data'],
  models: ['once'],
  tokenizerInfo: ['once', 'data'],
  tokenize: ['once', 'data', 'data', 'data'],
  tokenizeChat: ['once', 'data', 'data', 'data'],
  tokenStrings: ['once', 'data', 'data'],
  detokenize: ['once', 'data', 'data'],
  embed: ['once', 'data', 'signal'],
  generate: ['stream', 'data', 'signal'],
  train: ['stream', 'data', 'signal'],
  work: ['stream', 'data', 'signal'],
  findLearningRate: ['stream', 'data', 'signal'],
  evaluate: ['once', 'data', 'progress', 'signal'],
  createRun: ['once', 'data'],
  forwardRun: ['once', 'data', 'data', 'signal'],
  probeRun: ['once', 'data', 'data', 'data'],
  applyRun: ['once', 'data', 'data'],
  stepRun: ['once', 'data', 'data', 'data'],
  replayRun: ['once', 'data', 'data'],
  benchKernels: ['once', 'data', 'progress', 'signal'],
  exportRun: ['once', 'data'],
};

/** The arguments of a call, by how they cross. */
export interface SplitArguments {
  /** In their places; what crosses otherwise is `undefined`. */
  data: unknown[];
  progress: ((...values: unknown[]) => void) | undefined;
  signal: AbortSignal | undefined;
}

/** Takes the arguments of a call apart, on the caller's side. */
export function splitArguments(kinds: readonly ParameterKind[], values: readonly unknown[]): SplitArguments {
  const of = (kind: ParameterKind): unknown => values[kinds.indexOf(kind)];
  return {
    data: kinds.map((kind, index) => (kind === 'data' ? values[index] : undefined)),
    progress: of('progress') as SplitArguments['progress'],
    signal: of('signal') as SplitArguments['signal'],
  };
}

/** Puts them together again, on the engine's side. */
export function joinArguments(kinds: readonly ParameterKind[], { data, progress, signal }: SplitArguments): unknown[] {
  return kinds.map((kind, index) => ({ data: data[index], progress, signal })[kind]);
}

export type ClientMessage =
  /** @see SplitArguments.data */
  | { kind: 'call'; id: number; method: MethodName; data: unknown[] }
  /** The caller is no longer interested: abort the signal of this call. */
  | { kind: 'abort'; id: number }
  /** End what is under way, and then the engine. */
  | { kind: 'close'; id: number };

export type WorkerMessage =
  /** The engine is open, or could not be opened. */
  | { kind: 'ready' }
  | { kind: 'failed'; error: ErrorRecord }
  /** An item of a stream, or the values of a progress call. */
  | { kind: 'event'; id: number; event: unknown }
  | { kind: 'result'; id: number; value: unknown }
  | { kind: 'error'; id: number; error: ErrorRecord };
