/**
 * The owner of a run that several machines train: it alone writes the journal, cuts each step into parts, and adds what
 * comes back in their order. It scores parts too, so that a run goes on where nobody helps.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import { plural } from '../format.ts';
import { batchRows } from '../model/batch.ts';
import type { LossSums } from '../objectives/loss.ts';
import { basename, hostname, processId } from '../platform/index.ts';
import { unsharedBecause } from '../settings/configuration.ts';
import { fingerprintOf } from '../train/examples.ts';
import { adapterName } from '../train/run-plans.ts';
import { addParts, type Cuts, type Part, partsOf, scorePart } from '../train/shards.ts';
import type { RunToShare, RunToTakeUp, SharedRun, ShareRun, SharingNotice } from '../train/sharing.ts';
import { parameter, words } from '../words.ts';
import { type CarriedBytes, carriedSize, fitsCarried, readCarried } from '../zo/carried-state.ts';
import { encodeRecord, type StepRecord } from '../zo/journal-format.ts';
import { type ClusterAddress, withoutPassword } from './address.ts';
import { Bus } from './bus.ts';
import { wrongIn } from './check-answer.ts';
import { copyJournal, knownEpochOf, knownNameOf, leaseSeconds, nameOf, noteClaim, takeLease } from './claim.ts';
import { type Digest, differenceOf, digestOf, isCompared, isFold, tolerance } from './digest.ts';
import { encodeExamples, examplesFile, removeUnusedFiles } from './examples-file.ts';
import { type Member, Members, mostWorkers } from './members.ts';
import { type Announcement, type Answer, decode, encode, type Reply, type Task } from './protocol.ts';
import { findSnapshot, putSnapshot, recordName, removeSnapshots, tooLarge } from './snapshot.ts';
import type { TaskFeed } from './task-feed.ts';
import { sleep } from './waiting.ts';

export interface CoordinatorOptions extends ClusterAddress {
  /** Seconds after which a shard goes to another worker; 30 by default. */
  deadline?: number;
  /** Ends the run where the state of a worker differs from this one's in any bit. */
  strict?: boolean;
  /** Steps from one snapshot to the next, from which workers that join late begin; 1000 by default, 0 for none. */
  snapshotEvery?: number;
}

/** Steps between snapshots by default. */
const stepsBetweenSnapshots = 1000;

/** Longest wait for a snapshot that is on its way when a run ends. */
const lastSnapshotMilliseconds = 10_000;

/** How long a run that is to end waits for a server that is away. */
const millisecondsToLeave = 5000;

/** Lets a run be trained by a cluster. */
export function sharing(options: CoordinatorOptions): ShareRun {
  return {
    open: (run) => Coordinator.open(run, options),
    takeUp: (run) => takeUp(run, options),
  };
}

/** Brings a run to the newest snapshot that the cluster has of it, and that the journal of its folder agrees with. */
async function takeUp({ folder, journal, optimizer }: RunToTakeUp, options: CoordinatorOptions) {
  const notes: string[] = [];
  const { records, header } = journal;
  const run = await knownNameOf(folder);
  // One of the last step would have begun the next period, before which an evaluation may be due.
  const to = records.length - 1;
  if (run === undefined || to < 1) return { step: 0, notes };
  const bus = await Bus.connect(options, `subzero train ${basename(folder)}`);
  try {
    const wanted = { run, baseFingerprint: header.baseFingerprint, to };
    const tell = (line: string): void => void notes.push(line);
    const snapshot = await findSnapshot(bus, wanted, tell, (step) => recordName(records[step - 1]!));
    if (!snapshot || !fitsCarried(optimizer.carried(), snapshot.state)) return { step: 0, notes };
    optimizer.carryOn(snapshot.step, snapshot.state);
    notes.push(`taken up from the cluster's snapshot at step ${snapshot.step}`);
    return { step: snapshot.step, notes };
  } finally {
    await bus.close();
  }
}

/** A part that is not scored yet. */
interface Pending {
  part: Part<TokenizedExample>;
  resolve(sums: LossSums[]): void;
}

/** What a part is known by within its step. */
function keyOf({ shard, firstProbe }: Pick<Task, 'shard' | 'firstProbe'>): string {
  return `${shard}:${firstProbe}`;
}

class Coordinator implements SharedRun {
  readonly log: SharedRun['log'];
  readonly #run: RunToShare;
  readonly #bus: Bus;
  readonly #options: CoordinatorOptions;
  readonly #announcement: Announcement;
  readonly #name: string;
  #revision: number;
  #renewal: ReturnType<typeof setInterval>;
  #lost: SubzeroError | undefined;
  #keepingQueue = false;
  #sequence = 0;
  /** The last entry of the journal, where it is a step. */
  #last: { step: number; sequence: number; record: string } | undefined;
  /** What the run was before the step after `step`, until the journal has that. */
  #captured: { step: number; state: CarriedBytes } | undefined;
  #uploading: Promise<void> | undefined;
  #snapshotStep = 0;
  /** Steps between snapshots; 0 where none are made. */
  #snapshotEvery: number;
  /** Whether a worker waits for one. */
  #snapshotWanted = false;
  readonly #stop = new AbortController();
  /** Aborted when a run that is to end has waited long enough for a server that is away. */
  readonly #abandonment: AbortController;
  readonly #unsubscribe: () => void;
  readonly #own: Promise<void>;
  #step = -1;
  #digest: Digest | undefined;
  readonly #pending = new Map<string, Pending>();
  /** When a part was last scored, or the step begun. */
  #movedAt = 0;
  /** A part that this process is at. */
  #scoring: Promise<void> | undefined;
  #fail: ((error: unknown) => void) | undefined;
  #notices: SharingNotice[] = [];
  readonly #members: Members;
  readonly #feed: TaskFeed;
  /** Parts of a step. */
  #parts = 1;
  #shards = 1;
  #closing: Promise<void> | undefined;
  #abandoning: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    run: RunToShare,
    bus: Bus,
    options: CoordinatorOptions,
    parts: { announcement: Announcement; revision: number; abandonment: AbortController },
  ) {
    const { announcement, revision, abandonment } = parts;
    this.#abandonment = abandonment;
    this.#run = run;
    this.#bus = bus;
    this.#options = options;
    this.#announcement = announcement;
    this.#name = announcement.run;
    this.#revision = revision;
    this.#snapshotEvery = options.snapshotEvery ?? stepsBetweenSnapshots;
    this.#members = new Members(
      { name: announcement.owner, adapter: adapterName(run.gpu) },
      () => bus.traffic.sent + bus.traffic.received,
    );
    this.log = { append: (record) => this.#append(record) };
    const renew = () => void this.#orAbandoned(this.#renew()).catch((error: SubzeroError) => this.#lose(error));
    this.#renewal = setInterval(renew, (leaseSeconds / 3) * 1000);
    run.signal?.addEventListener('abort', () => this.#abandonLater(), { once: true });
    this.#unsubscribe = bus.onAnswer(this.#name, (data) => encode('reply', this.#take(data)));
    // What was on its way to somebody is lost until its deadline is over.
    bus.onReturn(() => this.#offerAgain());
    bus.onFailure((error) => this.#lose(error));
    this.#feed = bus.tasks(this.#name, announcement.deadline, () => void this.#keepQueue());
    this.#own = this.#help();
  }

  static async open(run: RunToShare, options: CoordinatorOptions): Promise<Coordinator> {
    const unshared = unsharedBecause(run.configuration);
    if (unshared) {
      const { named, reason } = unshared;
      const value = String(run.configuration[named]);
      throw new SubzeroError('unsupported', words`${parameter(named)} ${value} ${reason}; train without a cluster`, {
        parameter: named,
      });
    }
    const owner = `${hostname()}:${processId}`;
    const abandonment = new AbortController();
    const connecting = { leaseSeconds, abandoned: abandonment.signal };
    const bus = await Bus.connect(options, `subzero train ${basename(run.folder)}`, connecting);
    try {
      const journal = await run.log.read();
      const name = await nameOf(run.folder);
      const { configuration } = run;
      const draft = {
        ...{ run: name, owner, epoch: 1, deadline: options.deadline ?? 30 },
        ...{ baseFingerprint: journal.header.baseFingerprint, dataFingerprint: fingerprintOf(run.examples) },
        ...{ rows: run.rows, probesAtOnce: run.optimizer.probesAtOnce },
      };
      let revision = await takeLease(bus, draft, run.signal);
      const announcement = { ...draft, epoch: await bus.nextEpoch(name, await knownEpochOf(run.folder)) };
      await noteClaim(run.folder, { run: name, epoch: announcement.epoch });
      const file = examplesFile(announcement.dataFingerprint);
      await bus.files.keep(file, () => encodeExamples(run.examples));
      const sequence = await copyJournal(bus, name, journal);
      await bus.openQueue(name, announcement.deadline);
      // Workers come from here on.
      revision = (await bus.renewLease(name, encode('announcement', announcement), revision)) ?? revision;
      const coordinator = new Coordinator(run, bus, options, { announcement, revision, abandonment });
      coordinator.#sequence = sequence;
      const last = journal.records.at(-1);
      if (last) coordinator.#last = { step: last.step, sequence, record: recordName(last) };
      const url = withoutPassword(options.url);
      coordinator.#tell(
        'info',
        `the cluster at ${url} trains this as "${name}", in ${cutsText(configuration)} a step; ` +
          `workers join with: subzero worker --cluster ${url} --model DIR`,
      );
      return coordinator;
    } catch (error) {
      await bus.close();
      throw error;
    }
  }

  /** Lets the last step of a run that is to end do without the others, and without a server that stays away. */
  #abandonLater(): void {
    if (this.#abandoning) return;
    this.#abandoning = setTimeout(() => {
      this.#abandonment.abort();
      if (!this.#bus.isAway) {
        // Whatever the others are at, this step ends.
        for (const key of this.#pending.keys()) this.#scoreInstead(key);
        return;
      }
      this.#fail?.(new SubzeroError('cancelled', 'the run was stopped while the NATS server is away'));
    }, millisecondsToLeave);
  }

  /** What the server is asked for, or nothing where a run that is to end has waited long enough. */
  async #orAbandoned<T>(work: Promise<T>): Promise<T | undefined> {
    const { signal } = this.#abandonment;
    let abandon = (): void => {};
    const abandoned = new Promise<undefined>((resolve) => {
      abandon = () => resolve(undefined);
    });
    if (signal.aborted) abandon();
    signal.addEventListener('abort', abandon);
    try {
      return await Promise.race([work, abandoned]);
    } catch (error) {
      if (!signal.aborted) throw error;
      return undefined;
    } finally {
      // A run has millions of these.
      signal.removeEventListener('abort', abandon);
    }
  }

  #tell(level: 'info' | 'warn', message: string): void {
    this.#notices.push({ level, message });
  }

  notices(): SharingNotice[] {
    return this.#notices.splice(0);
  }

  async #append(record: StepRecord): Promise<void> {
    if (this.#lost) throw this.#lost;
    // The file is the truth; the copy is made good when the run is taken up again.
    await this.#run.log.append(record);
    const sequence = await this.#orAbandoned(this.#copy(record));
    if (sequence === undefined) return;
    this.#sequence = sequence;
    if (this.#snapshotEvery === 0) return;
    this.#last = { step: record.step, sequence: this.#sequence, record: recordName(record) };
    this.#upload();
  }

  /** Copies a step to the server, and those before it that the server has lost. @returns the sequence of its entry */
  async #copy(record: StepRecord): Promise<number> {
    try {
      return await this.#bus.append(this.#name, encodeRecord(record, 0).bytes, this.#sequence);
    } catch (error) {
      if (!(error instanceof SubzeroError) || error.code !== 'conflict') throw error;
      await this.#checkLeader();
      const sequence = await copyJournal(this.#bus, this.#name, await this.#run.log.read());
      this.#tell('warn', 'the NATS server had lost steps of this run; they are copied there once more');
      return sequence;
    }
  }

  /** Keeps what the run is, where a snapshot is due: some steps after the last one, or at a fold if a worker waits. */
  async #capture(step: number): Promise<void> {
    const { gpu, optimizer, configuration } = this.#run;
    if (step === 0 || this.#snapshotEvery === 0 || this.#uploading || this.#captured) return;
    const due = step - this.#snapshotStep >= this.#snapshotEvery;
    if (!due && !(this.#snapshotWanted && isFold(step, configuration))) return;
    const carried = optimizer.carried();
    const large = tooLarge(carriedSize(carried));
    if (large !== undefined) {
      this.#snapshotEvery = 0;
      this.#tell('info', large);
      return;
    }
    this.#captured = { step, state: await readCarried(gpu, carried) };
    this.#snapshotStep = step;
    this.#snapshotWanted = false;
    this.#upload();
  }

  /** Sends the snapshot while the run goes on, as soon as its step is in the journal. */
  #upload(): void {
    const captured = this.#captured;
    if (!captured || this.#last?.step !== captured.step) return;
    this.#captured = undefined;
    const { baseFingerprint } = this.#announcement;
    this.#uploading = putSnapshot(this.#bus, { run: this.#name, baseFingerprint, ...this.#last, ...captured })
      .catch((error: unknown) => {
        if (this.#stop.signal.aborted) return;
        this.#tell('warn', `no snapshot at step ${captured.step}: ${(error as Error).message}`);
      })
      .finally(() => {
        this.#uploading = undefined;
      });
  }

  async #renew(): Promise<void> {
    const data = encode('announcement', this.#announcement);
    const revision = await this.#bus.renewLease(this.#name, data, this.#revision);
    if (revision !== undefined) {
      this.#revision = revision;
      // Another coordinator that ended may have seen the file before it saw this lease.
      const file = examplesFile(this.#announcement.dataFingerprint);
      await this.#bus.files.keep(file, () => encodeExamples(this.#run.examples)).catch(() => {});
      return;
    }
    // The server was away for longer than the lease, or somebody else has the run.
    const taken = await this.#bus.takeLease(this.#name, data);
    if (taken !== undefined) {
      this.#revision = taken;
      return;
    }
    await this.#checkLeader();
  }

  /** @throws SubzeroError `conflict` where somebody else has taken the run up */
  async #checkLeader(): Promise<void> {
    const holder = await this.#bus.leaseOf(this.#name);
    if (!(holder instanceof Uint8Array)) return;
    const { epoch, owner } = decode('announcement', holder);
    if (epoch <= this.#announcement.epoch) return;
    throw new SubzeroError('conflict', `${owner} goes on with the run "${this.#name}"; this process stops`);
  }

  /** Ends the run, which cannot be led any more. */
  #lose(error: SubzeroError): void {
    this.#lost ??= error;
    this.#fail?.(this.#lost);
  }

  /** Makes the queue anew where the server has none, as an administrator may have removed it. */
  async #keepQueue(): Promise<void> {
    if (this.#keepingQueue || this.#stop.signal.aborted) return;
    this.#keepingQueue = true;
    try {
      // One that is closed with the run stays closed.
      if ((await this.#bus.hasQueue(this.#name)) || this.#stop.signal.aborted) return;
      await this.#bus.openQueue(this.#name, this.#announcement.deadline);
      this.#tell('warn', 'the NATS server had lost the queue of this run; it is made anew');
      this.#offerAgain();
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#lose(error as SubzeroError);
    } finally {
      this.#keepingQueue = false;
    }
  }

  /** @see ScoreStep */
  readonly scoreStep = async (step: number, batch: readonly TokenizedExample[]): Promise<LossSums[]> => {
    if (this.#lost) throw this.#lost;
    const { gpu, optimizer, configuration } = this.#run;
    const parts = partsOf(batch, configuration, optimizer.probeCount);
    const digest = isCompared(step, configuration);
    this.#digest = digest ? await digestOf(gpu, optimizer) : undefined;
    await this.#capture(step);
    if (this.#step < 0) this.#members.own.lastStep = step - 1;
    this.#step = step;
    this.#parts = parts.length;
    this.#shards = parts.at(-1)!.shard + 1;
    this.#members.share(parts.length, step);
    this.#feed.room = this.#members.roomOf(this.#members.own);
    this.#movedAt = performance.now();
    const scored = parts.map(
      (part) =>
        new Promise<LossSums[]>((resolve) => {
          this.#pending.set(keyOf({ shard: part.shard, firstProbe: part.probes.first }), { part, resolve });
        }),
    );
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    // It may fail before anybody waits for it.
    failed.catch(() => {});
    const patience = 2000 * this.#announcement.deadline;
    // A task whose worker says that it is done, and sends no answer, would never come again by itself.
    const again = setInterval(() => {
      if (performance.now() - this.#movedAt < patience) return;
      this.#movedAt = performance.now();
      this.#offerAgain();
    }, patience / 4);
    try {
      await this.#offer(step);
      const sums = await Promise.race([Promise.all(scored), failed]);
      this.#members.stepped();
      const pace = this.#members.report(parts.length, step);
      if (pace) this.#notices.push({ type: 'cluster', ...pace });
      return addParts(parts, sums);
    } finally {
      clearInterval(again);
      this.#fail = undefined;
      this.#pending.clear();
      // The weights must not move under a part that somebody else was faster with.
      await this.#scoring;
    }
  };

  #taskOf(step: number, { shard, probes }: Part<TokenizedExample>): Task {
    const cut = { shard, shards: this.#shards, firstProbe: probes.first, probes: probes.count };
    return { epoch: this.#announcement.epoch, step, ...cut, digest: this.#digest !== undefined };
  }

  async #offer(step: number): Promise<void> {
    const offers = [...this.#pending.values()].map(({ part }) =>
      this.#bus.offer(this.#name, encode('task', this.#taskOf(step, part)), this.#stop.signal),
    );
    await this.#orAbandoned(Promise.all(offers));
  }

  /** Offers what the step still waits for once more, as it may be lost. */
  #offerAgain(): void {
    if (this.#pending.size > 0) void this.#offer(this.#step).catch((error: unknown) => this.#fail?.(error));
  }

  /** Scores parts in this process, one at a time, as a worker does. */
  async #help(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const taken = await this.#feed.next(1000);
      if (this.#abandonment.signal.aborted) break;
      if (!taken) continue;
      const task = decode('task', taken.data);
      if (task.epoch === this.#announcement.epoch && task.step === this.#step) {
        this.#scoreInstead(keyOf(task));
        await this.#scoring;
      }
      taken.done();
      this.#feed.extend();
    }
    this.#feed.close();
  }

  async #scoreHere(key: string): Promise<void> {
    const pending = this.#pending.get(key);
    if (!pending) return;
    const begun = performance.now();
    const step = this.#step;
    try {
      const sums = await scorePart(this.#run, pending.part, step);
      if (this.#pending.delete(key)) {
        this.#movedAt = performance.now();
        const milliseconds = this.#movedAt - begun;
        this.#members.scored(this.#members.own, step, { tokens: this.#tokensOf(pending.part), milliseconds, bytes: 0 });
        pending.resolve(sums);
      }
    } catch (error) {
      this.#fail?.(error);
    }
  }

  /** Rows of a part, as a share of those of a step. */
  #tokensOf({ examples, probes }: Part<TokenizedExample>): number {
    return (batchRows(examples) * probes.count) / this.#run.optimizer.probeCount;
  }

  /** Scores a part in this process, after what it is at. */
  #scoreInstead(key: string): void {
    this.#scoring = (this.#scoring ?? Promise.resolve()).then(() => this.#scoreHere(key));
  }

  /** Takes an answer, or says why not. */
  #take(data: Uint8Array): Reply {
    let answer: Answer;
    try {
      answer = decode('answer', data);
    } catch (error) {
      this.#tell('warn', `a worker sent what is no answer: ${(error as Error).message}`);
      return { verdict: 'refused', reason: (error as Error).message };
    }
    const { worker, epoch, step } = answer;
    const key = keyOf(answer);
    const known = this.#knownAs(worker);
    if (!known) return { verdict: 'refused', reason: `this run has had ${mostWorkers} workers; it takes no more` };
    if (epoch > this.#announcement.epoch) {
      // It may be meant for a coordinator that has taken the run up, whose reply the worker shall go by.
      const mine = this.#announcement.epoch;
      this.#refuse(worker.name, known, `it is of epoch ${epoch}; this coordinator has epoch ${mine}`);
      return { verdict: 'late' };
    }
    if (epoch !== this.#announcement.epoch || step !== this.#step) {
      return { verdict: 'late', room: this.#members.roomOf(known) };
    }
    const pending = this.#pending.get(key);
    if (!pending) return { verdict: 'late', room: this.#members.roomOf(known) };
    const wrong = wrongIn(answer, pending.part);
    if (wrong !== undefined) {
      this.#scoreInstead(key);
      return this.#refuse(worker.name, known, wrong);
    }
    const compared = this.#compare(answer, known);
    if (compared?.verdict === 'refused') {
      this.#scoreInstead(key);
      return compared;
    }
    const sums = answer.sums as LossSums[];
    if (!sums.every((each) => Number.isFinite(each.optionLoss) && Number.isFinite(each.completionLoss))) {
      // Whether the run diverges or the worker is broken is seen by scoring the shard here.
      this.#tell(
        'warn',
        `worker ${worker.name} sent a loss that is no number at step ${step}; its part is scored here instead`,
      );
      this.#scoreInstead(key);
      return compared ?? { verdict: 'taken' };
    }
    this.#pending.delete(key);
    this.#movedAt = performance.now();
    const reply: Reply = { verdict: 'taken', ...compared, room: this.#members.roomOf(known) };
    const task = encode('task', this.#taskOf(step, pending.part));
    const bytes = data.length + task.length + encode('reply', reply).length;
    const { milliseconds } = answer;
    this.#members.scored(known, step, { tokens: this.#tokensOf(pending.part), milliseconds, bytes });
    pending.resolve(sums);
    return reply;
  }

  /** What a worker's digest means for it; nothing where it is this one's, or there is none. */
  #compare({ worker, step, digest, sketch }: Answer, known: Member): Reply | undefined {
    if (digest === undefined || this.#digest === undefined) return undefined;
    if (digest === this.#digest.name) {
      if (known.differs) this.#tell('info', `worker ${worker.name} has this one's state again at step ${step}`);
      known.differs = false;
      return undefined;
    }
    const difference = sketch && differenceOf(this.#digest.sketch, sketch);
    const size = difference === undefined ? '' : ` by about ${difference.toExponential(0)} of its length`;
    const differs =
      `the state of worker ${worker.name} (${known.adapter}) differs from this one's at step ` + `${step}${size}`;
    if (difference !== undefined && !(difference <= tolerance)) {
      return this.#refuse(worker.name, known, `${differs}, which is no rounding (at most ${tolerance})`);
    }
    const problem = `${differs}: another adapter or driver rounds otherwise`;
    if (this.#options.strict) {
      this.#fail?.(new SubzeroError('conflict', `${problem}; --strict ends the run here`));
      return { verdict: 'refused', reason: problem };
    }
    const resynchronise = this.#snapshotEvery > 0;
    const cure = resynchronise ? ", and after the next fold it takes this one's state" : '';
    if (!known.differs) this.#tell('warn', `${problem}; its losses are used as they are${cure}`);
    known.differs = true;
    this.#snapshotWanted ||= resynchronise;
    return { verdict: 'taken', resynchronise };
  }

  #knownAs(worker: Answer['worker']): Member | undefined {
    const known = this.#members.find(worker.name);
    if (known) return known;
    const added = this.#members.add(worker, this.#step);
    const { name, adapter, software } = worker;
    if (added) this.#tell('info', `worker ${name} takes part (${adapter}${software ? ', software' : ''})`);
    return added;
  }

  #refuse(name: string, known: Member, reason: string): Reply {
    known.refused++;
    if (known.refused === 1) this.#tell('warn', `an answer of worker ${name} is refused: ${reason}`);
    return { verdict: 'refused', reason };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    this.#abandonLater();
    clearInterval(this.#renewal);
    this.#unsubscribe();
    await this.#own;
    const pace = this.#members.summary(this.#parts, this.#step);
    if (pace) {
      this.#notices.push({ type: 'cluster', ...pace });
      const helpers = [...this.#members.workers].map(
        ({ name, total: { shards, milliseconds } }) =>
          `${name} ${shards} (${Math.round(milliseconds / Math.max(1, shards))} ms each)`,
      );
      this.#tell(
        'info',
        `parts scored: here ` +
          `${this.#members.own.total.shards}${helpers.length > 0 ? `, ${helpers.join(', ')}` : ''}; ` +
          `${Math.round(pace.bytesPerStep)} bytes a step over the wire`,
      );
    }
    await Promise.race([this.#uploading, sleep(this.#uploading ? lastSnapshotMilliseconds : 0)]);
    if (!this.#lost) await this.#orAbandoned(this.#tidy());
    clearTimeout(this.#abandoning);
    if (this.#abandonment.signal.aborted && this.#bus.isAway) {
      this.#tell('warn', 'the NATS server is away, so what it keeps of this run is left there');
    }
    await this.#bus.close();
  }

  /** Leaves nothing on the server that only a running run needs. */
  async #tidy(): Promise<void> {
    // Nobody joins a run that is done.
    if (this.#last?.step === this.#run.configuration.steps)
      await removeSnapshots(this.#bus, this.#name).catch(() => {});
    await this.#bus.closeQueue(this.#name);
    await this.#bus.giveUpLease(this.#name);
    await removeUnusedFiles(this.#bus);
  }
}

/** Into how many parts a step is cut. */
function cutsText({ shards, queryShards }: Cuts): string {
  return queryShards > 1 ? `${plural(shards, 'shard')} × ${queryShards} ranges of probes` : plural(shards, 'shard');
}
