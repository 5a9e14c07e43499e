/**
 * A worker: holds a copy of a run, moved by the records of its journal, and scores shards of its steps.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { loadModel, openWeights } from '../model/load.ts';
import type { Model } from '../model/model.ts';
import { leadingTokens, withLeading } from '../model/virtual-tokens.ts';
import type { ExampleLoss } from '../objectives/loss.ts';
import { hostname, processId, resolve } from '../platform/index.ts';
import { fingerprintOf, samplerOf } from '../train/examples.ts';
import { lossOfRun } from '../train/goal.ts';
import { adapterName, plansOfRun } from '../train/run-plans.ts';
import { passShape, Scorer } from '../train/score.ts';
import { scoreShard, shardsOf } from '../train/shards.ts';
import { startAdapterOfRun } from '../train/start-adapter.ts';
import { createOptimizer } from '../zo/create-optimizer.ts';
import { decodeHeader, decodeRecord, type JournalHeader, type StepRecord } from '../zo/journal-format.ts';
import type { AppliedStep, ZerothOrderOptimizer } from '../zo/optimizer.ts';
import { Bus, type ClusterAddress, sleep, type TakenTask } from './bus.ts';
import { stepOf } from './coordinator.ts';
import { digestOf } from './digest.ts';
import { decodeExamples, examplesFile } from './examples-file.ts';
import { type Announcement, decode, encode, type Task, type WorkerIdentity } from './protocol.ts';

export interface WorkerOptions extends ClusterAddress {
  /** Model directories that it may load. */
  models: readonly string[];
  /** Ends when no run has been there for so many seconds; never by default. */
  idleSeconds?: number;
}

/** What a worker tells. */
export type WorkerEvent =
  | { type: 'waiting'; models: string[] }
  | { type: 'joined'; run: string; model: string; step: number; steps: number; seconds: number }
  /** At most one a second. */
  | { type: 'progress'; run: string; step: number; steps: number; shards: number }
  | { type: 'left'; run: string; shards: number; reason: string };

/** Seconds that a run without a coordinator is kept for, as another may take it up. */
const patienceSeconds = 120;

/** Seconds that a run's examples are waited for. */
const fileSeconds = 20;

/**
 * Takes part in runs, one after the other, until the signal is aborted.
 * @throws SubzeroError for models that cannot be read, a cluster that cannot be reached, and where a coordinator
 *   refuses this worker's answers
 */
export async function* work(gpu: Gpu, options: WorkerOptions, signal: AbortSignal): AsyncGenerator<WorkerEvent> {
  const models = new Map<string, string>();
  for (const path of options.models) models.set(await fingerprintOfModel(path), resolve(path));
  const name = `${hostname()}:${processId}`;
  const bus = await Bus.connect(options, `subzero worker ${name}`, { abandoned: signal });
  const worker: WorkerIdentity = { name, adapter: adapterName(gpu), software: gpu.adapter.software };
  try {
    yield { type: 'waiting', models: [...models.values()] };
    let idleSince = performance.now();
    while (!signal.aborted) {
      const announcement = (await bus.leases())
        .map((data) => decode('announcement', data))
        .find(({ baseFingerprint }) => models.has(baseFingerprint));
      if (!announcement) {
        const idle = (performance.now() - idleSince) / 1000;
        if (options.idleSeconds !== undefined && idle > options.idleSeconds) return;
        await sleep(500);
        continue;
      }
      yield* takePart({ gpu, bus, worker, model: models.get(announcement.baseFingerprint)! }, announcement, signal);
      idleSince = performance.now();
    }
  } catch (error) {
    // A wait for the server that was given up is no failure.
    if (!signal.aborted || error instanceof SubzeroError) throw error;
  } finally {
    await bus.close();
  }
}

async function fingerprintOfModel(directory: string): Promise<string> {
  const source = await openWeights(directory);
  try {
    return await source.fingerprint();
  } finally {
    await source.close();
  }
}

interface Place {
  gpu: Gpu;
  bus: Bus;
  worker: WorkerIdentity;
  /** The directory of the base model. */
  model: string;
}

async function* takePart(place: Place, announcement: Announcement, signal: AbortSignal): AsyncGenerator<WorkerEvent> {
  const { bus } = place;
  const { run } = announcement;
  const begun = performance.now();
  const copy = await RunCopy.open(place, announcement, signal);
  let shards = 0;
  let reason = 'stopped';
  try {
    yield {
      ...{ type: 'joined', run, model: place.model, step: copy.step, steps: copy.steps },
      seconds: (performance.now() - begun) / 1000,
    };
    let told = 0;
    let leaderSeen = performance.now();
    let { epoch } = announcement;
    while (!signal.aborted) {
      const taken = await bus.take(run, 1000);
      await copy.catchUp();
      if (taken) {
        const task = decode('task', taken.data);
        epoch = Math.max(epoch, task.epoch);
        leaderSeen = performance.now();
        if (task.epoch === epoch && (await copy.reach(task.step, announcement.deadline))) {
          await answer(place, run, taken, task, await copy.score(task));
          shards++;
        } else if (task.epoch < epoch || task.step < copy.step) {
          await taken.done();
        } else {
          taken.giveBack();
        }
        if (performance.now() - told > 1000) {
          told = performance.now();
          yield { type: 'progress', run, step: copy.step, steps: copy.steps, shards };
        }
        continue;
      }
      const lease = await bus.leaseOf(run);
      if (lease instanceof Uint8Array) leaderSeen = performance.now();
      if (lease === 'given up') {
        reason = 'its coordinator is done';
        break;
      }
      if (performance.now() - leaderSeen > patienceSeconds * 1000) {
        reason = `nobody has led it for ${patienceSeconds} s`;
        break;
      }
    }
  } finally {
    await copy.close();
  }
  yield { type: 'left', run, shards, reason };
}

/** Sends sums until the coordinator has said what it makes of them. */
async function answer(
  { bus, worker }: Place,
  run: string,
  taken: TakenTask,
  { epoch, step, shard }: Task,
  scored: Pick<Parameters<typeof encode<'answer'>>[1], 'sums' | 'milliseconds' | 'digest'>,
): Promise<void> {
  const reply = await bus.answer(run, encode('answer', { worker, epoch, step, shard, ...scored }));
  // The task comes again where nobody heard.
  if (!reply) return;
  const { verdict, reason } = decode('reply', reply);
  if (verdict === 'refused') {
    taken.giveBack();
    throw new SubzeroError('conflict', `the coordinator of "${run}" refuses what this worker sends: ${reason}`);
  }
  await taken.done();
}

/** A run's model, at the step that its journal has reached. */
class RunCopy {
  /** Steps applied. */
  step = 0;
  readonly #gpu: Gpu;
  readonly #header: JournalHeader;
  readonly #model: Model;
  readonly #optimizer: ZerothOrderOptimizer;
  readonly #scorer: Scorer;
  readonly #lossOf: ExampleLoss;
  readonly #batchOf: (step: number) => TokenizedExample[];
  readonly #journal: JournalReader;

  private constructor(
    gpu: Gpu,
    parts: {
      header: JournalHeader;
      model: Model;
      optimizer: ZerothOrderOptimizer;
      scorer: Scorer;
      examples: readonly TokenizedExample[];
      journal: JournalReader;
    },
  ) {
    this.#gpu = gpu;
    this.#header = parts.header;
    this.#model = parts.model;
    this.#optimizer = parts.optimizer;
    this.#scorer = parts.scorer;
    // A run that compares with its base is not shared.
    this.#lossOf = lossOfRun(parts.header.configuration, undefined);
    this.#journal = parts.journal;
    const sampler = samplerOf(parts.header.configuration, parts.examples);
    const examples = withLeading(parts.examples, leadingTokens(parts.model, parts.optimizer.current));
    this.#batchOf = (step) => sampler.batch(step).map((row) => examples[row]!);
  }

  static async open({ gpu, bus, model: directory }: Place, announcement: Announcement, signal: AbortSignal) {
    const { run, dataFingerprint, rows, probesAtOnce } = announcement;
    const journal = new JournalReader(bus, run, signal);
    let model: Model | undefined;
    let optimizer: ZerothOrderOptimizer | undefined;
    try {
      const examples = await examplesOf(bus, dataFingerprint, signal);
      if (fingerprintOf(examples) !== dataFingerprint) {
        throw new SubzeroError('invalid_data', `the cluster's examples of "${run}" are not those of its journal`);
      }
      const header = await journal.header();
      const { configuration } = header;
      model = await loadModel(gpu, directory, { storage: configuration.storage, ...plansOfRun(gpu, run, header) });
      if (model.fingerprint !== header.baseFingerprint) {
        throw new SubzeroError('conflict', `${directory} has changed; it is not the base of "${run}"`);
      }
      const start = await startAdapterOfRun(run, header, model.decoder);
      optimizer = await createOptimizer(model, configuration, start);
      optimizer.reserveProbes(probesAtOnce);
      const scorer = new Scorer(model, configuration.maxRows);
      scorer.reserve(rows, passShape(examples));
      const copy = new RunCopy(gpu, { header, model, optimizer, scorer, examples, journal });
      await gpu.checkAllocations();
      const last = await bus.lastEntry(run);
      await copy.reach(last ? stepOf(last.data) : 0, Number.POSITIVE_INFINITY);
      return copy;
    } catch (error) {
      journal.close();
      optimizer?.destroy();
      model?.destroy();
      throw error;
    }
  }

  get steps(): number {
    return this.#header.configuration.steps;
  }

  /** Applies the steps that have come. */
  async catchUp(): Promise<void> {
    const records = this.#journal.take(this.#header);
    if (records.length === 0) return;
    await this.#optimizer.replay(
      records.map(({ step, loss: _, ...rest }): AppliedStep => ({ ...rest, step: step - 1 })),
    );
    this.step = records.at(-1)!.step;
  }

  /** Waits for the steps up to one. @returns whether the copy is there */
  async reach(step: number, seconds: number): Promise<boolean> {
    const until = performance.now() + seconds * 1000;
    for (;;) {
      await this.catchUp();
      if (this.step >= step || this.#journal.ended || performance.now() > until) return this.step === step;
      await this.#journal.more();
    }
  }

  async score({ step, shard, shards, digest }: Task) {
    const begun = performance.now();
    if (this.#optimizer.waits(step)) await this.#optimizer.renew(step);
    this.#optimizer.beginStep(step);
    const name = digest ? await digestOf(this.#gpu, this.#optimizer) : undefined;
    const examples = shardsOf(this.#batchOf(step), shards)[shard];
    if (!examples) throw new SubzeroError('invalid_data', `a task for shard ${shard} of ${shards}, which is not there`);
    const run = { optimizer: this.#optimizer, scorer: this.#scorer, lossOf: this.#lossOf };
    const sums = await scoreShard(run, examples, step);
    return { sums, milliseconds: performance.now() - begun, ...(name === undefined ? {} : { digest: name }) };
  }

  async close(): Promise<void> {
    this.#journal.close();
    await this.#gpu.idle();
    this.#scorer.destroy();
    this.#optimizer.destroy();
    this.#model.destroy();
  }
}

/** The examples of a run; waits a little for a file that another run's end took away, which the leader puts back. */
async function examplesOf(bus: Bus, fingerprint: string, signal: AbortSignal): Promise<TokenizedExample[]> {
  const until = performance.now() + fileSeconds * 1000;
  for (;;) {
    const examples = await bus.getFile(examplesFile(fingerprint), decodeExamples);
    if (examples || signal.aborted || performance.now() > until) return examples ?? [];
    await sleep(500);
  }
}

/** Reads a run's journal while it grows. */
class JournalReader {
  readonly #stop = new AbortController();
  readonly #run: string;
  #entries: Uint8Array[] = [];
  #header: JournalHeader | undefined;
  #wake: (() => void) | undefined;
  #next = 1;
  ended = false;

  constructor(bus: Bus, run: string, signal: AbortSignal) {
    this.#run = run;
    void this.#read(bus, AbortSignal.any([signal, this.#stop.signal]));
  }

  async #read(bus: Bus, signal: AbortSignal): Promise<void> {
    try {
      for await (const { data } of bus.follow(this.#run, signal)) {
        this.#entries.push(data);
        this.#wake?.();
      }
    } finally {
      this.ended = true;
      this.#wake?.();
    }
  }

  /** Waits until something comes, at most for a second. */
  async more(): Promise<void> {
    if (this.#entries.length > 0 || this.ended) return;
    await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), sleep(1000)]);
    this.#wake = undefined;
  }

  /** The header, which is the first entry. */
  async header(): Promise<JournalHeader> {
    while (!this.#header) {
      const first = this.#entries.shift();
      if (first) this.#header = decodeHeader(first, `the cluster's journal of "${this.#run}"`).header;
      else if (this.ended)
        throw new SubzeroError('io', `the journal of "${this.#run}" cannot be read from the cluster`);
      else await this.more();
    }
    return this.#header;
  }

  /** The steps that have come since the last call. @throws SubzeroError `invalid_data` for anything but the next one */
  take({ configuration }: JournalHeader): StepRecord[] {
    return this.#entries.splice(0).map((bytes) => {
      const decoded = decodeRecord(bytes, configuration, 0);
      if (decoded?.record.step !== this.#next) {
        throw new SubzeroError(
          'invalid_data',
          `the cluster's journal of "${this.#run}": expected the record of step ${this.#next}, got ` +
            (decoded ? `that of step ${decoded.record.step}` : 'one that does not match its checksum'),
        );
      }
      this.#next++;
      return decoded.record;
    });
  }

  close(): void {
    this.#stop.abort();
  }
}
