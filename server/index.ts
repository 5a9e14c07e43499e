/**
 * The HTTP service as a library: listening by itself ({@link serve}), or as a Hono application for a server of one's
 * own ({@link createApplication}).
 *
 * @module
 */

import type { Engine } from '../src/engine/types.ts';
import type { ServedModel } from './configuration.ts';
import type { Application } from './routes/routes.ts';
import { openService, type ServiceOptions } from './service.ts';

export type { ServedModel, ServerConfiguration, ServerLimits } from './configuration.ts';
export { type RunningServer, type ServeOptions, serve } from './serve.ts';
export type { ServiceOptions } from './service.ts';

export interface ApplicationOptions extends Omit<ServiceOptions, 'models'> {
  /** Those that the engine has loaded by default. */
  models?: ServedModel[];
}

/** A Hono application that owns a data directory. */
export type ServiceApplication = Application & {
  /**
   * Stops in order: no new work, running answers and the running step end, everything is on disk. The engine stays
   * open.
   */
  close(): Promise<void>;
};

/**
 * The service as a Hono application, whose `fetch` any server on Node, Bun or Deno can call. In an application of
 * one's own it is mounted with `mount('/zo', application.fetch)`, which hides the prefix from it (`route` does not).
 *
 * It answers to `localhost` and to addresses; name others as `allowedHosts`, and set an `apiKey` where other machines
 * can reach it.
 *
 * @throws SubzeroError `invalid_argument` for options that contradict each other, `conflict` if another service uses
 * the data directory, `io` if that cannot be made, or what the engine says about a model
 */
export async function createApplication(engine: Engine, options: ApplicationOptions = {}): Promise<ServiceApplication> {
  const models = options.models ?? (await engine.models()).map(({ id, path }) => ({ id, path }));
  const { application, services, close } = await openService(engine, { ...options, models });
  services.jobs.start();
  return Object.assign(application, { close: () => close() });
}
