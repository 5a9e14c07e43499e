/**
 * Everything that routes and middleware share, put together once by service.ts.
 *
 * @module
 */

import type { Engine } from '../src/engine/types.ts';
import { makeFolders } from '../src/make-folders.ts';
import { join } from '../src/platform/index.ts';
import { BatchRunner } from './batches/runner.ts';
import type { ServedModel, ServerConfiguration } from './configuration.ts';
import { EvalRunner } from './evals/runner.ts';
import { FileLibrary } from './files/library.ts';
import { judges } from './generation/judges.ts';
import { JobRunner } from './jobs/runner.ts';
import { JobSignals } from './jobs/signals.ts';
import { createLogger, type Logger } from './log.ts';
import { Loopback } from './loopback.ts';
import { Metrics } from './metrics.ts';
import { ModelRegistry } from './models.ts';
import { RunRegistry } from './runs/registry.ts';
import type { Store } from './store.ts';

export interface Services {
  engine: Engine;
  store: Store;
  configuration: ServerConfiguration;
  log: Logger;
  metrics: Metrics;
  models: ModelRegistry;
  files: FileLibrary;
  jobs: JobRunner;
  batches: BatchRunner;
  evals: EvalRunner;
  /** Requests of the service to itself. */
  loopback: Loopback;
  signals: JobSignals;
  runs: RunRegistry;
  /** Aborts when the server begins to stop: event streams end, new work is refused. */
  stopping: AbortSignal;
  /** Aborts when the grace period is over: running generations end. */
  stopped: AbortSignal;
  /** Completions being generated now. */
  activeGenerations: { count: number };
  /** Prepares folders and loads the base models. The jobs of an earlier server go on with `jobs.start()`. */
  start(models: ServedModel[]): Promise<void>;
  /** Refuses new work and ends event streams. */
  beginStop(): void;
  /** Ends running generations; their streams say why. */
  endGenerations(): void;
}

export function createServices(options: {
  engine: Engine;
  store: Store;
  configuration: ServerConfiguration;
  log?: Logger;
}): Services {
  const { engine, store, configuration } = options;
  const { dataDirectory, limits, cluster } = configuration;
  const log = options.log ?? createLogger(configuration.logLevel);
  const runsDirectory = join(dataDirectory, 'runs');
  const metrics = new Metrics();
  const signals = new JobSignals();
  const models = new ModelRegistry({ engine, store, log, runsDirectory, maxTuned: limits.loadedTunedModels });
  const files = new FileLibrary({ store, directory: join(dataDirectory, 'files'), limits });
  const maxQueued = limits.queuedJobs;
  const jobs = new JobRunner({
    engine,
    store,
    files,
    models,
    signals,
    log,
    metrics,
    runsDirectory,
    maxQueued,
    cluster,
  });
  const runs = new RunRegistry({ engine, log, maxRuns: limits.stepRuns });
  const stopping = new AbortController();
  const stopped = new AbortController();
  const loopback = new Loopback(configuration.apiKey);
  const batches = new BatchRunner({ store, files, log, loopback, directory: join(dataDirectory, 'batches') });
  const evals = new EvalRunner({ store, files, log, loopback });
  const services: Services = {
    engine,
    store,
    configuration,
    log,
    metrics,
    models,
    files,
    jobs,
    batches,
    evals,
    loopback,
    signals,
    runs,
    stopping: stopping.signal,
    stopped: stopped.signal,
    activeGenerations: { count: 0 },
    async start(served) {
      await makeFolders(runsDirectory);
      await files.open();
      await batches.prepare();
      await models.loadBase(served);
    },
    beginStop: () => stopping.abort(),
    endGenerations: () => stopped.abort(),
  };
  evals.judges = (usage, signal) => judges(services, usage, signal);
  return services;
}
