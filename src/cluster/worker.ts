/**
 * A worker: holds a copy of a run, moved by the records of its journal, and scores parts of its steps.
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
import { equalBytes, hostname, processId, resolve } from '../platform/index.ts';
import { fingerprintOf, samplerOf } from '../train/examples.ts';
import { lossOfRun } from '../train/goal.ts';
import { adapterName, plansOfRun } from '../train/run-plans.ts';
import { passShape, Scorer } from '../train/score.ts';
import { partsOf, scorePart } from '../train/shards.ts';
import { startAdapterOfRun } from '../train/start-adapter.ts';
import { fitsCarried } from '../zo/carried-state.ts';
import { createOptimizer } from '../zo/create-optimizer.ts';
import { decodeHeader, decodeRecord, type JournalHeader, type StepRecord } from '../zo/journal-format.ts';
import type { AppliedStep, ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { ClusterAddress } from './address.ts';
import { Bus } from './bus.ts';
import { stepOf } from './claim.ts';
import { digestOf } from './digest.ts';
import { decodeExamples, examplesFile } from './examples-file.ts';
import { type Announcement, decode, encode, type Task, type WorkerIdentity } from './protocol.ts';
import { findSnapshot } from './snapshot.ts';
import type { TakenTask } from './task-feed.ts';
import { sleep } from './waiting.ts';

export interface WorkerOptions extends ClusterAddress {
  /** Model directories that it may load. */
  models: readonly string[];
  /** Ends when no run has been there for so many seconds; never by default. */
  idleSeconds?: number;
}

/** What a worker tells. */
export type WorkerEvent =
  | { type: 'waiting'; models: string[] }
  | {
      type: 'joined';
      run: string;
      model: string;
      step: number;
      steps: number;
      seconds: number;
      /** The step of the snapshot that it began with, null where it replayed all steps. */
      snapshot: number | null;
    }
  /** What there is to tell of a run, or of one that cannot be joined. */
  | { type: 'message'; message: string }
  /** At most one a second. */
  | { type: 'progress'; run: string; step: number; steps: number; shards: number }
  | { type: 'left'; run: string; shards: number; reason: string };

/** Seconds that a run without a coordinator is kept for, as another may take it up. */
const patienceSeconds = 120;

/** Milliseconds from one look for a snapshot to the next, while one is waited for. */
const lookMilliseconds = 1000;

/** Seconds that one sits out whom the others would only wait for; then it may show again how fast it is. */
const sitOutSeconds = 20;

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
  const connecting = Bus.connect(options, `subzero worker ${name}`, { abandoned: signal });
  const bus = await connecting.catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  if (!bus) return;
  const worker: WorkerIdentity = { name, adapter: adapterName(gpu), software: gpu.adapter.software };
  try {
    yield { type: 'waiting', models: [...models.values()] };
    let idleSince = performance.now();
    /** Said once of each run that cannot be joined. */
    const refused = new Set<string>();
    while (!signal.aborted) {
      bus.check();
      const announcements: Announcement[] = [];
      for (const data of await bus.leases()) {
        try {
          announcements.push(decode('announcement', data));
        } catch (error) {
          const { message } = error as Error;
          if (!refused.has(message)) yield { type: 'message', message };
          refused.add(message);
        }
      }
      const announcement = announcements.find(({ baseFingerprint }) => models.has(baseFingerprint));
      for (const message of announcement ? [] : announcements.map(otherModel)) {
        if (!refused.has(message)) yield { type: 'message', message };
        refused.add(message);
      }
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

/** Why a run is not joined whose base is none of this worker's. */
function otherModel({ run, baseFingerprint }: Announcement): string {
  return (
    `"${run}" is not joined: its base model (fingerprint ${baseFingerprint.slice(0, 12)}) is none of those that ` +
    '--model names, or another version of one'
  );
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
  const feed = bus.tasks(run, announcement.deadline);
  let answering: Promise<void> = Promise.resolve();
  let satOutSince = Number.NEGATIVE_INFINITY;
  let shards = 0;
  let reason = 'stopped';
  try {
    yield {
      ...{ type: 'joined', run, model: place.model, step: copy.step, steps: copy.steps },
      seconds: (performance.now() - begun) / 1000,
      snapshot: copy.snapshot,
    };
    let told = 0;
    let leaderSeen = performance.now();
    let { epoch } = announcement;
    while (!signal.aborted) {
      bus.check();
      let taken = feed.ready();
      if (!taken) {
        // What is said to an answer may be that there is no use in going on.
        await answering;
        taken = await feed.next(1000);
      }
      if (feed.room === 0 && performance.now() - satOutSince > sitOutSeconds * 1000) feed.room = 1;
      await copy.catchUp();
      if (copy.differs) await copy.resynchronise();
      yield* copy.messages();
      if (taken) {
        const task = decode('task', taken.data);
        epoch = Math.max(epoch, task.epoch);
        leaderSeen = performance.now();
        if (task.epoch === epoch && (await copy.reach(task.step, announcement.deadline))) {
          const scored = await copy.score(task);
          await answering;
          // The next part is begun while this one's answer is on its way.
          answering = answer(place, run, taken, task, scored).then(({ differs, room, heard }) => {
            copy.differs ||= differs;
            if (room === 0 && feed.room > 0) satOutSince = performance.now();
            if (room !== undefined) feed.room = room;
            // The task comes again where nobody heard.
            if (heard) taken.done();
            else taken.leave();
          });
          // Whoever waits for it is told what became of it.
          answering.catch(() => {});
          feed.extend();
          shards++;
        } else if (task.epoch < epoch || task.step < copy.step) {
          taken.done();
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
    await answering;
  } finally {
    feed.close();
    await copy.close();
  }
  yield { type: 'left', run, shards, reason };
}

/**
 * Sends the sums of a part.
 * @returns whether this copy differs from the coordinator's and shall take a snapshot, and how many tasks this worker
 *   shall have at once
 * @throws SubzeroError `conflict` where the coordinator refuses them
 */
async function answer(
  { bus, worker }: Place,
  run: string,
  taken: TakenTask,
  { epoch, step, shard, firstProbe }: Task,
  scored: Pick<Parameters<typeof encode<'answer'>>[1], 'sums' | 'milliseconds' | 'digest' | 'sketch'>,
): Promise<{ differs: boolean; room?: number | undefined; heard: boolean }> {
  const reply = await bus.answer(run, encode('answer', { worker, epoch, step, shard, firstProbe, ...scored }));
  if (!reply) return { differs: false, heard: false };
  const { verdict, reason, resynchronise = false, room } = decode('reply', reply);
  if (verdict === 'refused') {
    taken.giveBack();
    throw new SubzeroError('conflict', `the coordinator of "${run}" refuses what this worker sends: ${reason}`);
  }
  return { differs: resynchronise, room, heard: true };
}

/** A run's model, at the step that its journal has reached. */
class RunCopy {
  /** Steps applied. */
  step = 0;
  /** The step of the snapshot that it began with. */
  snapshot: number | null = null;
  /** Whether its state is not the coordinator's, which it shall take. */
  differs = false;
  readonly #gpu: Gpu;
  readonly #bus: Bus;
  readonly #run: string;
  readonly #signal: AbortSignal;
  readonly #header: JournalHeader;
  readonly #model: Model;
  readonly #optimizer: ZerothOrderOptimizer;
  readonly #scorer: Scorer;
  readonly #lossOf: ExampleLoss;
  readonly #batchOf: (step: number) => TokenizedExample[];
  #journal: JournalReader;
  #messages: string[] = [];
  #looked = 0;
  /** The step that it was last compared at without having to take a snapshot. */
  #differedAt = 0;

  private constructor(
    { gpu, bus, run, signal }: { gpu: Gpu; bus: Bus; run: string; signal: AbortSignal },
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
    this.#bus = bus;
    this.#run = run;
    this.#signal = signal;
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
      const copy = new RunCopy({ gpu, bus, run, signal }, { header, model, optimizer, scorer, examples, journal });
      await gpu.checkAllocations();
      const last = await bus.lastEntry(run);
      const step = last ? stepOf(last.data) : 0;
      if (step > 0) copy.snapshot = (await copy.#takeSnapshot(1, step)) ?? null;
      await copy.reach(step, Number.POSITIVE_INFINITY);
      return copy;
    } catch (error) {
      journal.close();
      optimizer?.destroy();
      model?.destroy();
      throw error;
    }
  }

  /** What there is to tell since the last call. */
  *messages(): Generator<WorkerEvent> {
    for (const message of this.#messages.splice(0)) yield { type: 'message', message };
  }

  /** Takes the coordinator's state of some step, and the journal from there on. @returns the step */
  async #takeSnapshot(from: number, to: number): Promise<number | undefined> {
    const { baseFingerprint } = this.#header;
    const wanted = { run: this.#run, baseFingerprint, from, to };
    const snapshot = await findSnapshot(this.#bus, wanted, (line) => this.#messages.push(line));
    if (!snapshot) return undefined;
    if (!fitsCarried(this.#optimizer.carried(), snapshot.state)) {
      this.#messages.push(`the snapshot of "${this.#run}" at step ${snapshot.step} is laid out otherwise; not used`);
      return undefined;
    }
    const { step, sequence } = snapshot;
    this.#journal.close();
    this.#journal = new JournalReader(this.#bus, this.#run, this.#signal, { sequence, step });
    this.#optimizer.carryOn(step, snapshot.state);
    await this.#gpu.idle();
    this.step = step;
    return step;
  }

  /** Takes the coordinator's state once there is a snapshot of a later step than this one's state differed at. */
  async resynchronise(): Promise<void> {
    if (performance.now() - this.#looked < lookMilliseconds) return;
    this.#looked = performance.now();
    const step = await this.#takeSnapshot(this.#differedAt + 1, Number.POSITIVE_INFINITY);
    if (step === undefined) return;
    this.differs = false;
    this.#messages.push(`took the coordinator's state of "${this.#run}" at step ${step}, as this one's differed`);
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

  async score({ step, shard, shards, firstProbe, probes, digest }: Task) {
    const begun = performance.now();
    if (this.#optimizer.waits(step)) await this.#optimizer.renew(step);
    this.#optimizer.beginStep(step);
    const state = digest ? await digestOf(this.#gpu, this.#optimizer) : undefined;
    if (!this.differs) this.#differedAt = step;
    const run = { optimizer: this.#optimizer, scorer: this.#scorer, lossOf: this.#lossOf };
    const { probeCount } = this.#optimizer;
    const part = partsOf(this.#batchOf(step), { shards, queryShards: 1 }, probeCount)[shard];
    if (!part || firstProbe + probes > probeCount) {
      const asked = `shard ${shard} of ${shards} under probes ${firstProbe} to ${firstProbe + probes - 1}`;
      throw new SubzeroError('invalid_data', `a task for ${asked}, which are not there`);
    }
    const range = { examples: part.examples, probes: { first: firstProbe, count: probes } };
    const sums = await scorePart(run, range, step);
    return {
      sums,
      milliseconds: performance.now() - begun,
      ...(state ? { digest: state.name, sketch: state.sketch } : {}),
    };
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
    const examples = await bus.files.get(examplesFile(fingerprint), decodeExamples);
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
  /** The last step that was taken, by its bytes. */
  #last: Uint8Array | undefined;
  #failure: unknown;
  ended = false;

  /** @param after an entry, and its step, behind which it begins; at the header by default */
  constructor(bus: Bus, run: string, signal: AbortSignal, after = { sequence: 0, step: 0 }) {
    this.#run = run;
    this.#next = after.step + 1;
    void this.#read(bus, AbortSignal.any([signal, this.#stop.signal]), after.sequence);
  }

  async #read(bus: Bus, signal: AbortSignal, after: number): Promise<void> {
    try {
      for await (const { data } of bus.follow(this.#run, signal, after)) {
        this.#entries.push(data);
        this.#wake?.();
      }
    } catch (error) {
      this.#failure = error;
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
      else if (this.ended) {
        throw this.#failure ?? new SubzeroError('io', `the journal of "${this.#run}" cannot be read from the cluster`);
      } else await this.more();
    }
    return this.#header;
  }

  /**
   * The steps that have come since the last call. A journal that was copied to the server anew begins once more with
   * its header; what is known of it is passed over.
   * @throws SubzeroError `invalid_data` for anything but the next one
   */
  take({ configuration }: JournalHeader): StepRecord[] {
    if (this.#failure !== undefined && this.#entries.length === 0) throw this.#failure;
    const records: StepRecord[] = [];
    for (const bytes of this.#entries.splice(0)) {
      if (stepOf(bytes) === 0) continue;
      const decoded = decodeRecord(bytes, configuration, 0);
      const step = decoded?.record.step;
      const again = this.#last !== undefined && step === this.#next - 1;
      if (decoded && step! < this.#next && !(again && !equalBytes(bytes, this.#last!))) continue;
      if (step !== this.#next) {
        throw new SubzeroError(
          'invalid_data',
          `the cluster's journal of "${this.#run}": expected the record of step ${this.#next}, got ` +
            (again
              ? `another of step ${step}`
              : decoded
                ? `that of step ${step}`
                : 'one that does not match its checksum'),
        );
      }
      this.#next++;
      this.#last = bytes;
      records.push(decoded!.record);
    }
    return records;
  }

  close(): void {
    this.#stop.abort();
  }
}
