/**
 * The whole server in one call: the service and the listener of the runtime it runs on.
 *
 * @module
 */

import type { Engine } from '../src/engine/types.ts';
import type { Listen } from './adapters/adapter.ts';
import { openService, type ServiceOptions } from './service.ts';

export interface ServeOptions extends ServiceOptions {
  engine: Engine;
}

export interface RunningServer {
  url: string;
  /**
   * Stops in order: no new work, running answers and the running step end, everything is on disk. The engine stays
   * open.
   */
  close(): Promise<void>;
}

/** Room for the parts of a multipart body around the file. */
const multipartOverhead = 1024 * 1024;

/**
 * Starts a server.
 * @throws SubzeroError `invalid_argument` for an address beyond this machine without an API key, `conflict` if another
 * server uses the data directory, `io` if the port is taken, or what the engine says about a model
 */
export async function serve({ engine, ...options }: ServeOptions): Promise<RunningServer> {
  const { application, services, close } = await openService(engine, options);
  const { configuration, jobs, log, store } = services;
  try {
    const listen = await adapterOfRuntime();
    const { host, port } = configuration;
    const maxBodyBytes = configuration.limits.fileBytes + multipartOverhead;
    const listener = await listen(application, { host, port, maxBodyBytes });
    jobs.start();
    services.batches.start();
    services.evals.start();
    log.info('listening', { url: listener.url, models: options.models.map(({ id }) => id) });
    return { url: listener.url, close: () => close((graceSeconds) => listener.close(graceSeconds)) };
  } catch (error) {
    store.close();
    throw error;
  }
}

async function adapterOfRuntime(): Promise<Listen> {
  if ('Deno' in globalThis) return (await import('./adapters/deno.ts')).listen;
  if ('Bun' in globalThis) return (await import('./adapters/bun.ts')).listen;
  return (await import('./adapters/node.ts')).listen;
}
