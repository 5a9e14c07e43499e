/**
 * The whole server in one call: store, models, jobs, routes and the listener of the runtime it runs on.
 *
 * @module
 */

import { join, resolve } from 'node:path';
import type { Engine } from '../src/engine/types.ts';
import { SubzeroError } from '../src/errors.ts';
import { makeFolders } from '../src/train/run-folder.ts';
import { parameter, words } from '../src/words.ts';
import type { Listen, Listener } from './adapters/adapter.ts';
import { createApplication } from './application.ts';
import {
  isLoopback,
  resolveServerConfiguration,
  type ServedModel,
  type ServerConfiguration,
  type ServerLimits,
} from './configuration.ts';
import { createLogger } from './log.ts';
import { createServices, type Services } from './services.ts';
import { openStore } from './store.ts';

export interface ServeOptions extends Partial<Omit<ServerConfiguration, 'limits'>> {
  engine: Engine;
  /** Loaded before the server listens. */
  models: ServedModel[];
  limits?: Partial<ServerLimits>;
  /** Receives each line of the log; standard error by default. */
  writeLog?: (line: string) => void;
}

export interface RunningServer {
  url: string;
  /** Stops in order: no new work, running answers and the running step end, everything is on disk. The engine stays open. */
  close(): Promise<void>;
}

/** Room for the parts of a multipart body around the file. */
const multipartOverhead = 1024 * 1024;

/**
 * Starts a server.
 * @throws SubzeroError `invalid_argument` for an address beyond this machine without an API key, `conflict` if another
 * server uses the data directory, `io` if the port is taken, or what the engine says about a model
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { engine, models, limits, writeLog, ...rest } = options;
  const configuration = resolveServerConfiguration({ ...rest, ...(limits ? { limits } : {}) });
  configuration.dataDirectory = resolve(configuration.dataDirectory);
  checkConfiguration(configuration, models);
  const log = createLogger(configuration.logLevel, writeLog);
  await makeFolders(configuration.dataDirectory, 0o700).catch((error) => {
    throw new SubzeroError('io', `cannot create the data directory: ${error.message}`, { parameter: 'dataDirectory' });
  });
  const store = openStore(join(configuration.dataDirectory, 'subzero.db'));
  const services = createServices({ engine, store, configuration, log });
  try {
    await services.start(models);
    const listen = await adapterOfRuntime();
    const { host, port } = configuration;
    const maxBodyBytes = configuration.limits.fileBytes + multipartOverhead;
    const listener = await listen(createApplication(services), { host, port, maxBodyBytes });
    services.jobs.start();
    log.info('listening', { url: listener.url, models: models.map(({ id }) => id) });
    let closing: Promise<void> | undefined;
    return { url: listener.url, close: () => (closing ??= close(services, listener)) };
  } catch (error) {
    store.close();
    throw error;
  }
}

async function close(services: Services, listener: Listener): Promise<void> {
  const { configuration, jobs, log, store } = services;
  log.info('stopping');
  services.beginStop();
  const graceOver = setTimeout(() => services.endGenerations(), configuration.graceSeconds * 1000);
  // One second more than the generations have, so that their streams can still say why they end.
  await Promise.all([listener.close(configuration.graceSeconds + 1), jobs.close()]);
  clearTimeout(graceOver);
  services.endGenerations();
  await services.runs.close();
  store.close();
  log.info('stopped');
}

function checkConfiguration({ host, port, apiKey }: ServerConfiguration, models: ServedModel[]): void {
  if (!isLoopback(host) && !apiKey) {
    throw new SubzeroError(
      'invalid_argument',
      `${host} can be reached from other machines: set an API key (--api-key), or listen on 127.0.0.1`,
      { parameter: 'apiKey' },
    );
  }
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new SubzeroError('invalid_argument', 'the API key must be printable characters without spaces', {
      parameter: 'apiKey',
    });
  }
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new SubzeroError(
      'invalid_argument',
      words`${parameter('port')} must be a whole number from 0 to 65535; got ${port}`,
      { parameter: 'port' },
    );
  }
  const ids = models.map(({ id }) => id);
  const repeated = ids.find((id, index) => ids.indexOf(id) !== index);
  if (repeated !== undefined) {
    throw new SubzeroError('invalid_argument', `two models have the name "${repeated}"`, { parameter: 'model' });
  }
}

async function adapterOfRuntime(): Promise<Listen> {
  if ('Deno' in globalThis) return (await import('./adapters/deno.ts')).listen;
  if ('Bun' in globalThis) return (await import('./adapters/bun.ts')).listen;
  return (await import('./adapters/node.ts')).listen;
}
