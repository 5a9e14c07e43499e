/**
 * The world as a command sees it: streams, environment, signals, the engine and the server. Tests pass their own.
 *
 * @module
 */

import type { ServedModel, ServerLimits } from '../../server/configuration.ts';
import type { LogLevel } from '../../server/log.ts';
import type { CoordinatorOptions } from '../cluster/coordinator.ts';
import type { Engine } from '../engine/types.ts';
import type { OpenDeviceOptions } from '../gpu/device.ts';

/** A stream of text for people or programs. */
export interface Output {
  write(text: string): void;
  /** A terminal, on which a line can be rewritten. */
  readonly live: boolean;
  /** Width in characters. */
  readonly columns: number;
}

export type InterruptSignal = 'SIGINT' | 'SIGTERM';

export interface ServeRequest {
  engine: Engine;
  models: readonly ServedModel[];
  host: string;
  /** 0 = any free port. */
  port: number;
  apiKey: string | undefined;
  /** Where files, jobs and their runs are kept. */
  dataDirectory: string;
  /** Names that requests may call the server by, besides localhost and addresses. */
  allowedHosts?: string[];
  /** Origins of web pages that may call the server. */
  corsOrigins?: string[];
  /** What the server logs. */
  logLevel?: LogLevel;
  /** Seconds that a stopping server waits for running generations. */
  graceSeconds?: number;
  limits?: Partial<ServerLimits>;
  /** A cluster whose workers take part in jobs. */
  cluster?: CoordinatorOptions;
}

export interface RunningServer {
  url: string;
  close(): Promise<void>;
}

export interface Host {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Results. */
  readonly standardOutput: Output;
  /** Progress, notices and errors, so that results can be piped on. */
  readonly standardError: Output;
  readStandardInput(): Promise<string>;
  /** Calls `handler` at Ctrl-C or a request to terminate; the result takes the handler away again. */
  onInterrupt(handler: (signal: InterruptSignal) => void): () => void;
  /** Ends the process at once, as the signal would by itself. */
  dieOf(signal: InterruptSignal): void;
  /** Milliseconds on a clock that only moves forwards. */
  now(): number;
  /** Opens the GPU and starts the engine. */
  openEngine(options?: Pick<OpenDeviceOptions, 'adapter' | 'arithmetic'>): Promise<Engine>;
  startServer(request: ServeRequest): Promise<RunningServer>;
}
