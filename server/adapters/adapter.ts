/**
 * What the three runtimes have in common.
 *
 * @module
 */

import { SubzeroError } from '../../src/errors.ts';

/** The part of the application that an adapter needs. */
export interface FetchHandler {
  fetch(request: Request): Response | Promise<Response>;
}

export interface ListenOptions {
  host: string;
  /** 0 = any free port. */
  port: number;
  /** Largest body that the application accepts, in bytes; runtimes with a limit of their own are set to it. */
  maxBodyBytes?: number;
}

export interface Listener {
  /** With the port that was really taken. */
  url: string;
  /** Takes no new connections, waits up to `graceSeconds` for running answers, then cuts what is left. */
  close(graceSeconds?: number): Promise<void>;
}

export type Listen = (application: FetchHandler, options: ListenOptions) => Promise<Listener>;

/** `::1` becomes `[::1]`. */
export function urlOf(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The error of a port that is taken or an address that is not ours, for people. */
export function listenError(error: unknown, { host, port }: ListenOptions): SubzeroError {
  const reason = error instanceof Error ? error.message : String(error);
  const hint = /in use|EADDRINUSE/i.test(reason)
    ? 'another program uses that port; choose another with --port'
    : reason;
  return new SubzeroError('io', `cannot listen on ${host} port ${port}: ${hint}`, { parameter: 'port', cause: error });
}

/** `true` if the work ended within the time. */
export async function within(seconds: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), seconds * 1000);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
