/**
 * The queue of fine-tuning jobs. One trains at a time; the others wait in the order they came. Everything that happens
 * is an event in the store, and the run folder's journal holds the training itself, so a killed server goes on where it
 * was.
 *
 * @module
 */

import type { CoordinatorOptions } from '../../src/cluster/coordinator.ts';
import type { Engine, TrainEvent, TrainRequest } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import { formatFixed, snakeCase } from '../../src/format.ts';
import { join, rm, stat } from '../../src/platform/index.ts';
import { defaultConfiguration, unsharedBecause } from '../../src/settings/configuration.ts';
import { ApiError, invalid, notFound, toApiError } from '../errors.ts';
import type { FileLibrary } from '../files/library.ts';
import { createIdentifier, unixTime } from '../identifiers.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { ModelRegistry } from '../models.ts';
import type { EventRecord, JobRecord, JobStatus, Store } from '../store.ts';
import { unannouncedEvents } from './catch-up.ts';
import { type ClusterReport, measureCluster } from './cluster.ts';
import { metricsCsv } from './results.ts';
import type { JobSignals } from './signals.ts';

/** Why a running job was asked to stop. */
type Intent = 'pause' | 'cancel' | 'shutdown';

interface Running {
  id: string;
  controller: AbortController;
  intent: Intent | undefined;
  /** The run of the job, and what follows it, has ended. Never rejects. */
  settled: Promise<void>;
  /** Who takes part, where a cluster trains it. */
  cluster?: ClusterReport;
}

/** How long cancel and pause wait for the current step to end before they answer. */
const stopWaitMilliseconds = 10_000;

const finalStatuses: readonly JobStatus[] = ['succeeded', 'failed', 'cancelled'];

export function isFinished(status: JobStatus): boolean {
  return finalStatuses.includes(status);
}

export interface JobRunnerOptions {
  engine: Engine;
  store: Store;
  files: FileLibrary;
  models: ModelRegistry;
  signals: JobSignals;
  log: Logger;
  metrics: Metrics;
  runsDirectory: string;
  maxQueued: number;
  /** Who shares the jobs that can be shared; the others train in this process alone. */
  cluster: CoordinatorOptions | undefined;
}

export class JobRunner {
  readonly #options: JobRunnerOptions;
  readonly #queue: string[] = [];
  #running: Running | undefined;
  #open = false;

  constructor(options: JobRunnerOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier server left: first what was running, then what was waiting. */
  start(): void {
    this.#open = true;
    const { store } = this.#options;
    for (const job of store.jobsWithStatus('running')) this.#queue.push(job.id);
    for (const job of store.jobsWithStatus('validating_files', 'queued')) this.#queue.push(job.id);
    this.#next();
  }

  /** Stops the running job at the end of its step. It stays on the list as `running` and goes on at the next start. */
  async close(): Promise<void> {
    this.#open = false;
    await this.#stop('shutdown');
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Id of the job that trains now. */
  get current(): string | undefined {
    return this.#running?.id;
  }

  /** @throws ApiError 404 */
  get(id: string): JobRecord {
    const job = this.#options.store.job(id);
    if (!job) throw notFound('fine-tuning job', id, 'fine_tuning_job_id');
    return job;
  }

  /** Who takes part in a job that a cluster trains now; nothing for any other. */
  clusterOf(id: string): ClusterReport | undefined {
    return this.#running?.id === id ? this.#running.cluster : undefined;
  }

  /** Puts a new job at the end of the queue. @throws ApiError 429 if the queue is full */
  submit(job: JobRecord): JobRecord {
    this.#checkRoom();
    this.#options.store.insertJob(job);
    this.#announce(job, 'info', `Created fine-tuning job: ${job.id}`);
    this.#enqueue(job.id);
    return this.get(job.id);
  }

  /** @throws ApiError 400 if it is finished already */
  async cancel(id: string): Promise<JobRecord> {
    const job = this.get(id);
    if (isFinished(job.status)) throw wrongState(job, 'cancelled');
    return this.#halt(job, 'cancel');
  }

  /** @throws ApiError 400 unless it runs or waits */
  async pause(id: string): Promise<JobRecord> {
    const job = this.get(id);
    if (isFinished(job.status) || job.status === 'paused') throw wrongState(job, 'paused');
    return this.#halt(job, 'pause');
  }

  /** Queues a paused job, or a failed one, to go on where its journal ends. @throws ApiError 400 in any other state */
  resume(id: string): JobRecord {
    const job = this.get(id);
    if (job.status !== 'paused' && job.status !== 'failed') throw wrongState(job, 'resumed');
    this.#checkRoom();
    const resumed: JobRecord = { ...job, status: 'queued', error: null, finishedAt: null };
    this.#save(resumed, 'info', 'Fine-tuning job will be resumed');
    this.#enqueue(id);
    return this.get(id);
  }

  #checkRoom(): void {
    const { maxQueued } = this.#options;
    if (this.#queue.length >= maxQueued) {
      throw new ApiError(429, `${maxQueued} jobs are waiting already; try again when some have finished.`, {
        code: 'queue_full',
        headers: { 'retry-after': '60' },
      });
    }
  }

  #enqueue(id: string): void {
    this.#queue.push(id);
    this.#next();
  }

  #next(): void {
    if (!this.#open || this.#running) return;
    const id = this.#queue.shift();
    if (id === undefined) return;
    const running: Running = { id, controller: new AbortController(), intent: undefined, settled: Promise.resolve() };
    this.#running = running;
    running.settled = this.#work(running)
      .catch((error) => this.#options.log.error('the job runner failed', { job: id, error: detailOf(error) }))
      .finally(() => {
        this.#running = undefined;
        this.#next();
      });
  }

  /** Cancel or pause: at once if the job waits, at the end of the step if it trains. */
  async #halt(job: JobRecord, intent: 'pause' | 'cancel'): Promise<JobRecord> {
    if (this.#running?.id === job.id) {
      await this.#stop(intent);
    } else {
      const position = this.#queue.indexOf(job.id);
      if (position >= 0) this.#queue.splice(position, 1);
      this.#settle(job, intent);
    }
    return this.get(job.id);
  }

  async #stop(intent: Intent): Promise<void> {
    const running = this.#running;
    if (!running) return;
    // A later wish to cancel overrules an earlier one to pause; shutting down overrules neither.
    if (running.intent === undefined || intent === 'cancel') running.intent = intent;
    running.controller.abort();
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, stopWaitMilliseconds);
    });
    await Promise.race([running.settled, patience]);
    clearTimeout(timer);
  }

  async #work(running: Running): Promise<void> {
    let job = this.get(running.id);
    if (isFinished(job.status) || job.status === 'paused') return;
    job = this.#save({ ...job, status: 'running', error: null }, 'info', 'Fine-tuning job started');
    const started = performance.now();
    try {
      const done = await this.#train(job, running);
      job = this.get(job.id);
      const ended = { ...job, trainedTokens: done.trainedTokens || job.trainedTokens };
      if (done.outcome === 'finished') await this.#succeed(ended);
      else if (done.outcome === 'stuck') this.#fail(ended, new ApiError(400, done.reason!, { code: 'cannot_learn' }));
      else this.#settle(ended, running.intent ?? 'pause');
    } catch (error) {
      job = this.get(job.id);
      if (running.intent) this.#settle(job, running.intent);
      else this.#fail(job, error);
    }
    const seconds = (performance.now() - started) / 1000;
    const { status } = this.get(job.id);
    this.#options.log.info('job ended', { job: job.id, status, seconds: Math.round(seconds * 1000) / 1000 });
    this.#options.metrics.count('subzero_jobs_total', 'Ends of job runs by the status they left.', { status });
  }

  /** Trains and records until the stream's `done` event. */
  async #train(job: JobRecord, running: Running): Promise<Extract<TrainEvent, { type: 'done' }>> {
    const lease = await this.#options.models.acquire(job.model);
    let tokensBefore = 0;
    try {
      for await (const event of this.#events(job, running.controller.signal)) {
        if (event.type === 'start' && event.step > 0) {
          await this.#catchUp(job.id, event.step);
          tokensBefore = this.get(job.id).trainedTokens ?? 0;
        }
        // The engine counts from where it went on, the job from its beginning.
        const counted =
          'trainedTokens' in event ? { ...event, trainedTokens: event.trainedTokens + tokensBefore } : event;
        if (counted.type === 'done') return counted;
        if (counted.type === 'reading') continue;
        if (counted.type === 'cluster') {
          running.cluster = counted;
          measureCluster(this.#options.metrics, counted);
          continue;
        }
        this.#record(job.id, counted);
      }
    } finally {
      lease.release();
      if (running.cluster) measureCluster(this.#options.metrics, undefined);
    }
    throw new Error('the training stream ended without its last event');
  }

  /**
   * Announces the steps that a killed server had made and not announced.
   * @param step the one at which the run goes on
   */
  async #catchUp(id: string, step: number): Promise<void> {
    const job = this.get(id);
    const { runsDirectory, models } = this.#options;
    const metricsFile = join(runsDirectory, id, 'metrics.jsonl');
    const evaluated = models.find(checkpointName(job, job.step)) !== undefined;
    const before = job.trainedTokens ?? 0;
    for (const event of await unannouncedEvents(metricsFile, job.step, step, evaluated)) {
      this.#record(id, event.type === 'step' ? { ...event, trainedTokens: event.trainedTokens + before } : event);
    }
  }

  /**
   * Goes on with the run folder if there is one. A folder without a usable journal is only given up when no step was
   * ever announced: each step is in the journal before it is announced, so nothing can be lost by starting over.
   */
  async *#events(job: JobRecord, signal: AbortSignal): AsyncGenerator<TrainEvent> {
    const { engine, files, runsDirectory, cluster } = this.#options;
    // A job of an earlier version has no settings that came later.
    const settings = { ...defaultConfiguration, ...job.configuration };
    const unshared = cluster && unsharedBecause(settings);
    if (unshared) {
      const { named, reason } = unshared;
      const value = `${snakeCase(named)} ${String(settings[named])}`;
      this.#announce(job, 'info', `The cluster takes no part in this job, as ${value} ${reason}`);
    }
    const shared = cluster && !unshared ? { cluster } : {};
    const run = join(runsDirectory, job.id);
    const exists = await stat(run).then(
      () => true,
      () => false,
    );
    if (exists) {
      let begun = false;
      try {
        for await (const event of engine.train({ resume: run, ...shared }, signal)) {
          begun = true;
          yield event;
        }
        return;
      } catch (error) {
        const unusable = error instanceof SubzeroError && (error.code === 'not_found' || error.code === 'invalid_data');
        if (begun || job.step > 0 || !unusable) throw error;
        await rm(run, { recursive: true, force: true });
      }
    } else if (job.step > 0) {
      this.#announce(job, 'warn', 'The run folder has vanished; training starts over');
    }
    const request: TrainRequest = {
      model: job.model,
      data: { file: files.path(files.get(job.trainingFile, 'training_file')) },
      configuration: job.configuration,
      out: run,
      ...(job.epochs === null ? {} : { epochs: job.epochs }),
      ...(job.grader ? { grader: job.grader } : {}),
    };
    if (job.validationFile) request.validation = { file: files.path(files.get(job.validationFile, 'validation_file')) };
    yield* engine.train({ ...request, ...shared }, signal);
  }

  #record(id: string, event: Exclude<TrainEvent, { type: 'done' | 'cluster' | 'reading' }>): void {
    const job = this.get(id);
    const { metrics } = this.#options;
    switch (event.type) {
      case 'start':
        this.#save(
          // Epochs are counted in the examples that the file's lines become.
          { ...job, configuration: { ...job.configuration, steps: event.steps } },
          'info',
          event.step > 0
            ? `Training resumed after step ${event.step} of ${event.steps}`
            : `Training started: ${event.examples} examples, ${event.steps} steps`,
          { step: event.step, total_steps: event.steps, examples: event.examples, plan: event.plan, data: event.data },
          'message',
        );
        return;
      case 'step':
        metrics.count('subzero_training_steps_total', 'Training steps done.');
        metrics.set('subzero_training_loss', 'Loss of the last training step.', event.loss);
        this.#save(
          {
            ...job,
            step: event.step,
            trainLoss: event.loss,
            trainedTokens: event.trainedTokens,
            estimatedFinish: Number.isFinite(event.etaSeconds)
              ? Math.round(Date.now() / 1000 + event.etaSeconds)
              : null,
          },
          'info',
          `Step ${event.step}/${event.steps}: training loss=${formatFixed(event.loss)}`,
          {
            step: event.step,
            total_steps: event.steps,
            train_loss: event.loss,
            ...(event.accuracy === null ? {} : { train_accuracy: event.accuracy }),
            ...measured('train', event.measures),
            projected_gradient: event.projectedGradient,
            learning_rate: event.learningRate,
            tokens_per_second: event.tokensPerSecond,
            elapsed_seconds: event.elapsedSeconds,
            eta_seconds: event.etaSeconds,
            trained_tokens: event.trainedTokens,
          },
        );
        return;
      case 'evaluation': {
        const values = {
          step: event.step,
          valid_loss: event.loss,
          ...(event.accuracy === null ? {} : { valid_accuracy: event.accuracy }),
          ...(event.f1 === null ? {} : { valid_f1: event.f1 }),
          ...(event.exactMatch === null ? {} : { valid_exact_match: event.exactMatch }),
          ...measured('valid', event.measures),
        };
        const scores = { reward: event.measures?.reward ?? null, accuracy: event.accuracy, F1: event.f1 };
        const [name, value] = Object.entries(scores).find(([, score]) => score !== null) ?? [];
        const score = value == null ? '' : `, ${name}=${formatFixed(value)}`;
        this.#save(
          job,
          'info',
          `Step ${event.step}: validation loss=${formatFixed(event.loss)}${score}`,
          { ...values, examples: event.examples, seconds: event.seconds },
          'metrics',
        );
        if (event.step > 0) this.#checkpoint(job, event.step, values);
        return;
      }
      case 'message': {
        const { step, code } = event;
        if (code)
          metrics.count('subzero_training_warnings_total', 'Warnings of training runs by what they are about.', {
            code,
          });
        const data = code ? { code, step: step ?? job.step } : null;
        this.#announce(job, event.level, this.#withoutPaths(job, event.message), data);
      }
    }
  }

  #checkpoint(job: JobRecord, step: number, values: Record<string, number>): void {
    const { store, models } = this.#options;
    const id = `ftckpt_${job.id.replace(/^ftjob-/, '')}_${step}`;
    const model = checkpointName(job, step);
    if (models.find(model)) return;
    const metrics = { ...values, ...(job.trainLoss === null ? {} : { train_loss: job.trainLoss }) };
    store.transaction(() => {
      models.register({ id: model, jobId: job.id, base: job.model, step, createdAt: unixTime() });
      store.insertCheckpoint({ id, jobId: job.id, createdAt: unixTime(), step, model, metrics });
    });
  }

  async #succeed(job: JobRecord): Promise<void> {
    const { store, models, files, log } = this.#options;
    const id = modelName(job);
    if (store.checkpoints(job.id, { limit: 1 })?.data[0]?.step !== job.step && job.step > 0) {
      this.#checkpoint(job, job.step, { step: job.step });
    }
    models.register({ id, jobId: job.id, base: job.model, step: null, createdAt: unixTime() });
    try {
      (await models.acquire(id)).release();
    } catch (error) {
      log.warn('a new model could not be loaded yet', { model: id, error: detailOf(error) });
      this.#announce(job, 'warn', `The model could not be loaded yet: ${toApiError(error).message}`);
    }
    const results = await files.add(`${job.id}-metrics.csv`, metricsCsv(store, job.id));
    this.#save(
      {
        ...job,
        status: 'succeeded',
        finishedAt: unixTime(),
        fineTunedModel: id,
        estimatedFinish: null,
        resultFiles: [results.id],
      },
      'info',
      'The job has successfully completed',
    );
  }

  /** The state after a stop that somebody asked for. */
  #settle(job: JobRecord, intent: Intent): void {
    if (intent === 'cancel') {
      const ended: JobRecord = { ...job, status: 'cancelled', finishedAt: unixTime(), estimatedFinish: null };
      this.#save(ended, 'info', 'The job was cancelled');
    } else if (intent === 'pause') {
      this.#save(
        { ...job, status: 'paused', estimatedFinish: null },
        'info',
        `The job is paused after step ${job.step}`,
      );
    } else {
      this.#announce(job, 'info', `The server stops after step ${job.step}; the job goes on when it starts again`);
    }
  }

  #fail(job: JobRecord, error: unknown): void {
    const { message: full, code, param } = toApiError(error);
    const message = this.#withoutPaths(job, full);
    this.#options.log.error('job failed', { job: job.id, error: detailOf(error) });
    this.#save(
      {
        ...job,
        status: 'failed',
        finishedAt: unixTime(),
        estimatedFinish: null,
        error: { code: code ?? 'internal', message, param: param && this.#withoutPaths(job, param) },
      },
      'error',
      `The job failed: ${message}`,
    );
  }

  /** The engine names files by where they lie here; the client knows them by the names it gave. */
  #withoutPaths(job: JobRecord, text: string): string {
    const { store, files, runsDirectory } = this.#options;
    let plain = text;
    for (const id of [job.trainingFile, job.validationFile]) {
      const file = id === null ? undefined : store.file(id);
      if (file) plain = plain.replaceAll(files.path(file), file.filename);
    }
    return plain.replaceAll(join(runsDirectory, job.id), job.id);
  }

  /** A message that changes nothing in the job. */
  #announce(job: JobRecord, level: EventRecord['level'], message: string, data: Record<string, unknown> | null = null) {
    this.#options.store.appendEvent({ jobId: job.id, createdAt: unixTime(), level, message, type: 'message', data });
    this.#options.signals.notify(job.id);
  }

  /** The job and the event that tells of it, in one transaction. */
  #save(
    job: JobRecord,
    level: EventRecord['level'],
    message: string,
    data: Record<string, unknown> | null = null,
    type: EventRecord['type'] = data ? 'metrics' : 'message',
  ): JobRecord {
    const { store, signals } = this.#options;
    store.transaction(() => {
      store.updateJob(job);
      store.appendEvent({ jobId: job.id, createdAt: unixTime(), level, message, type, data });
    });
    signals.notify(job.id);
    return job;
  }
}

/** What an objective measures beside the loss, under its names on the wire. */
function measured(group: 'train' | 'valid', measures: Readonly<Record<string, number>> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(measures).map(([name, value]) => [`${group}_${snakeCase(name)}`, value]));
}

/** A fresh record in the state `queued`. */
export function newJob(fields: Omit<JobRecord, 'id' | 'createdAt' | 'status' | keyof typeof untouched>): JobRecord {
  return {
    ...untouched,
    ...fields,
    resultFiles: [],
    id: createIdentifier('ftjob-'),
    createdAt: unixTime(),
    status: 'queued',
  };
}

const untouched = {
  finishedAt: null,
  fineTunedModel: null,
  trainedTokens: null,
  resultFiles: [] as string[],
  error: null,
  step: 0,
  trainLoss: null,
  estimatedFinish: null,
};

/** `ft:<base>:<suffix>:<job>`; the suffix may be empty. */
function modelName(job: JobRecord): string {
  return `ft:${job.model}:${job.suffix ?? ''}:${job.id.replace(/^ftjob-/, '')}`;
}

function wrongState(job: JobRecord, verb: string): ApiError {
  const code = isFinished(job.status) ? 'job_already_finished' : 'job_state';
  return invalid(`The job "${job.id}" cannot be ${verb}: its status is "${job.status}".`, null, code);
}

function detailOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** The model of a job as it was at a step. */
function checkpointName(job: JobRecord, step: number): string {
  return `${modelName(job)}:ckpt-step-${step}`;
}
