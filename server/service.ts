/**
 * The service without a listener: store, models, jobs and routes, opened and closed together.
 *
 * @module
 */

import type { Engine } from '../src/engine/types.ts';
import { SubzeroError } from '../src/errors.ts';
import { makeFolders } from '../src/make-folders.ts';
import { join, resolve } from '../src/platform/index.ts';
import { parameter, words } from '../src/words.ts';
import { applicationOf } from './application.ts';
import {
  isLoopback,
  resolveServerConfiguration,
  type ServedModel,
  type ServerConfiguration,
  type ServerLimits,
} from './configuration.ts';
import { createLogger } from './log.ts';
import type { Application } from './routes/routes.ts';
import { createServices, type Services } from './services.ts';
import { openStore } from './store.ts';

export interface ServiceOptions extends Partial<Omit<ServerConfiguration, 'limits'>> {
  /** Loaded before the first request is answered. */
  models: ServedModel[];
  limits?: Partial<ServerLimits>;
  /** Receives each line of the log; standard error by default. */
  writeLog?: (line: string) => void;
}

/** Jobs of an earlier service go on with `services.jobs.start()`, as do `batches` and `evals`. */
export interface Service {
  application: Application;
  services: Services;
  /**
   * Stops in order: no new work, running answers and the running step end, everything is on disk. The engine stays
   * open.
   * @param closeListener stops whoever passes requests on within so many seconds, if there is one
   */
  close(closeListener?: (graceSeconds: number) => Promise<void>): Promise<void>;
}

/**
 * Opens the service over an engine.
 * @throws SubzeroError `invalid_argument` for options that contradict each other, `conflict` if another service uses
 * the data directory, `io` if that cannot be made, or what the engine says about a model
 */
export async function openService(engine: Engine, options: ServiceOptions): Promise<Service> {
  const { models, limits, writeLog, ...rest } = options;
  const configuration = resolveServerConfiguration({ ...rest, ...(limits ? { limits } : {}) });
  configuration.dataDirectory = resolve(configuration.dataDirectory);
  checkConfiguration(configuration, models);
  const log = createLogger(configuration.logLevel, writeLog);
  await makeFolders(configuration.dataDirectory, 0o700).catch((error) => {
    throw new SubzeroError('io', `cannot create the data directory: ${error.message}`, { parameter: 'dataDirectory' });
  });
  const store = openStore(join(configuration.dataDirectory, 'subzero.db'));
  try {
    const services = createServices({ engine, store, configuration, log });
    await services.start(models);
    let closing: Promise<void> | undefined;
    return {
      application: applicationOf(services),
      services,
      close: (closeListener) => (closing ??= close(services, closeListener)),
    };
  } catch (error) {
    store.close();
    throw error;
  }
}

async function close(services: Services, closeListener?: (graceSeconds: number) => Promise<void>): Promise<void> {
  const { configuration, jobs, log, store } = services;
  log.info('stopping');
  services.beginStop();
  const graceOver = setTimeout(() => services.endGenerations(), configuration.graceSeconds * 1000);
  // One second more than the generations have, so that their streams can still say why they end.
  await Promise.all([
    closeListener?.(configuration.graceSeconds + 1),
    jobs.close(),
    services.batches.close(),
    services.evals.close(),
  ]);
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
