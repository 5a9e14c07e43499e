/**
 * The NATS JetStream server as a cluster uses it: journals, tasks, answers and leases; files are beside them.
 *
 * @module
 */

import type { Consumer, ConsumerMessages, JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { KV } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { SubzeroError } from '../errors.ts';
import { createHash, equalBytes } from '../platform/index.ts';
import type { ClusterAddress, Login } from './address.ts';
import { type Connected, type ConnectOptions, connect, packages } from './connect.ts';
import { ClusterFiles } from './files.ts';
import { codeOf, isGone, isRefusal, lastingProblem, type Place } from './problems.ts';
import { TaskFeed } from './task-feed.ts';
import { retryMilliseconds, sleep } from './waiting.ts';

/** A message of a run's journal. */
export interface JournalEntry {
  /** That of the stream. */
  sequence: number;
  data: Uint8Array;
}

const nanoseconds = 1e9;

/** Times that a server which is back may refuse us before it is believed: files with secrets are replaced by people. */
const mostRefusals = 4;

/** Journal entries that a late worker has in flight. */
const replayWindow = 2000;

export class Bus {
  readonly #connection: NatsConnection;
  readonly #js: JetStreamClient;
  readonly #jsm: JetStreamManager;
  readonly #lease: KV;
  readonly #epochs: KV;
  readonly files: ClusterFiles;
  readonly #prefix: string;
  readonly #createInbox: () => string;
  /** Makes the streams and buckets that are not there. */
  readonly #provide: () => Promise<unknown>;
  readonly #place: Place;
  readonly #abandoned: AbortSignal | undefined;
  /** The feeds of the queues that this process takes tasks from. */
  readonly #feeds = new Set<TaskFeed>();
  /** Ends of what reads journals, which is begun anew. */
  readonly #followers = new Set<() => void>();
  #onReturn: (() => void) | undefined;
  #onFailure: ((error: SubzeroError) => void) | undefined;
  #failure: SubzeroError | undefined;
  #away = false;

  private constructor(parts: Connected, abandoned: AbortSignal | undefined) {
    const { connection } = parts;
    this.#connection = connection;
    this.#js = parts.js;
    this.#jsm = parts.jsm;
    this.#lease = parts.lease;
    this.#epochs = parts.epochs;
    this.#prefix = parts.prefix;
    this.#createInbox = parts.createInbox;
    this.#provide = parts.provide;
    this.#place = parts.place;
    this.#abandoned = abandoned;
    this.files = new ClusterFiles(
      parts.files,
      (action) => this.#persist(undefined, action),
      () => connection.info?.max_payload,
    );
    void this.#watch(parts.login);
    // A connection ends by itself where the server has stopped to let us in.
    void connection.closed().then((error) => error && this.#fail(error));
  }

  /** @see connect */
  static async connect(address: ClusterAddress, name: string, options: ConnectOptions = {}): Promise<Bus> {
    return new Bus(await connect(address, name, options), options.abandoned);
  }

  async #watch(login: Login): Promise<void> {
    let refusals = 0;
    for await (const status of this.#connection.status()) {
      if (status.type === 'disconnect') {
        this.#away = true;
        await login.refresh();
      } else if (status.type === 'reconnect') {
        this.#away = false;
        refusals = 0;
        for (const feed of this.#feeds) feed.reset();
        for (const stop of this.#followers) stop();
        this.#onReturn?.();
      } else if (status.type === 'error' && status.error.name === 'PermissionViolationError') {
        this.#fail(status.error);
      } else if (status.type === 'error' && isRefusal(status.error)) {
        if (++refusals > mostRefusals) this.#fail(status.error);
        await login.refresh();
      }
    }
  }

  #fail(error: Error): void {
    if (this.#failure) return;
    const { server } = this.#place;
    this.#failure =
      lastingProblem(error, this.#place) ??
      new SubzeroError('io', `the connection to the NATS server at ${server} has ended: ${error.message}`, {
        parameter: 'cluster',
        cause: error,
      });
    this.#onFailure?.(this.#failure);
  }

  /** @throws SubzeroError `io` where the server has said for good what this process may not do */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Calls somebody when {@link check} would throw. */
  onFailure(call: (error: SubzeroError) => void): void {
    this.#onFailure = call;
    if (this.#failure) call(this.#failure);
  }

  // The journal of a run.

  /**
   * Appends to a run's journal, behind the entry that the writer knows as the last; tries again while the server is
   * away. An id by which the server would know an entry again has no use beside that, and does harm: it remembers those
   * of a stream that was purged, and confirms what it then does not keep.
   * @param after the sequence of that entry; 0 for the first one
   * @returns the entry's sequence
   * @throws SubzeroError `conflict` where another entry is the last, as somebody else has appended, or some are lost
   */
  async append(run: string, data: Uint8Array, after: number): Promise<number> {
    const { jetstream } = await packages();
    const subject = `${this.#prefix}.journal.${run}`;
    return await this.#persist(undefined, async () => {
      try {
        return (await this.#js.publish(subject, data, { expect: { lastSubjectSequence: after } })).seq;
      } catch (error) {
        if (
          !(error instanceof jetstream.JetStreamApiError) ||
          error.code !== jetstream.JetStreamApiCodes.StreamWrongLastSequence
        ) {
          throw error;
        }
        // Its own entry, confirmed to nobody, may be the one in the way.
        const last = await this.lastEntry(run);
        if (last && equalBytes(last.data, data)) return last.sequence;
        throw new SubzeroError('conflict', otherLeader(run));
      }
    });
  }

  /** The last entry of a run's journal. */
  async lastEntry(run: string): Promise<JournalEntry | undefined> {
    const message = await this.#persist(undefined, () =>
      this.#jsm.streams.getMessage(`${this.#prefix}_journals`, { last_by_subj: `${this.#prefix}.journal.${run}` }),
    );
    return message ? { sequence: message.seq, data: message.data } : undefined;
  }

  /** The SHA-256 of the entry at a sequence; nothing where it is none of this run's. */
  async nameOfEntry(run: string, sequence: number): Promise<string | undefined> {
    const message = await this.#jsm.streams.getMessage(`${this.#prefix}_journals`, { seq: sequence });
    if (message?.subject !== `${this.#prefix}.journal.${run}`) return undefined;
    return createHash('sha256').update(message.data).digest('hex');
  }

  /**
   * Every entry of a run's journal, and each new one, in order, until the signal is aborted. Where the server has lost
   * what was read, or its stream was made anew, it begins with the first entry once more.
   * @param after a sequence whose entry and those before it are left out
   */
  async *follow(run: string, signal: AbortSignal, after = 0): AsyncGenerator<JournalEntry> {
    const stream = `${this.#prefix}_journals`;
    let created: string | undefined;
    let last = after;
    while (!signal.aborted) {
      const info = await this.#persist(signal, () => this.#jsm.streams.info(stream));
      // Sequences of another stream mean other entries.
      if ((created ??= info.created) !== info.created || info.state.last_seq < last) last = 0;
      created = info.created;
      const consumer = await this.#persist(signal, () => this.#consumerOf(run, last));
      const messages = await consumer.consume({ max_messages: replayWindow });
      const stop = (): void => messages.stop();
      signal.addEventListener('abort', stop, { once: true });
      this.#followers.add(stop);
      if (signal.aborted) stop();
      void stopWhenLost(messages);
      try {
        for await (const message of messages) {
          last = message.seq;
          yield { sequence: message.seq, data: message.data };
        }
      } finally {
        signal.removeEventListener('abort', stop);
        this.#followers.delete(stop);
        messages.stop();
        await consumer.delete().catch(() => {});
      }
      this.check();
    }
  }

  async #consumerOf(run: string, after: number): Promise<Consumer> {
    const { jetstream } = await packages();
    return await this.#js.consumers.get(`${this.#prefix}_journals`, {
      filter_subjects: `${this.#prefix}.journal.${run}`,
      ...(after === 0
        ? { deliver_policy: jetstream.DeliverPolicy.All }
        : { deliver_policy: jetstream.DeliverPolicy.StartSequence, opt_start_seq: after + 1 }),
    });
  }

  /** The names of all runs that have a journal here. */
  async runs(): Promise<string[]> {
    const info = await this.#jsm.streams.info(`${this.#prefix}_journals`, { subjects_filter: '>' });
    const start = `${this.#prefix}.journal.`.length;
    return Object.keys(info.state.subjects ?? {}).map((subject) => subject.slice(start));
  }

  /** Removes all that is kept of a run: its journal, its tasks and its epoch. */
  async removeRun(run: string): Promise<void> {
    await this.closeQueue(run);
    await this.#persist(undefined, async () => {
      await this.#jsm.streams.purge(`${this.#prefix}_journals`, { filter: `${this.#prefix}.journal.${run}` });
      await this.#epochs.purge(run);
    });
  }

  // Tasks.

  /** Makes the queue of a run. @param seconds after which a task that was taken goes to somebody else */
  async openQueue(run: string, seconds: number): Promise<void> {
    const { jetstream } = await packages();
    const stream = `${this.#prefix}_tasks`;
    const subject = `${this.#prefix}.task.${run}`;
    await this.#persist(undefined, async () => {
      await this.#jsm.streams.purge(stream, { filter: subject });
      await this.#jsm.consumers.add(stream, {
        durable_name: run,
        filter_subject: subject,
        ack_policy: jetstream.AckPolicy.Explicit,
        ack_wait: seconds * nanoseconds,
        max_ack_pending: 10_000,
      });
    });
  }

  /** Whether the queue of a run is there. */
  async hasQueue(run: string): Promise<boolean> {
    try {
      await this.#persist(undefined, async () => {
        const consumer = await this.#jsm.consumers.info(`${this.#prefix}_tasks`, run).catch((error: unknown) => {
          if (codeOf(error) === undefined || !isGone(error)) throw error;
        });
        if (!consumer) throw new SubzeroError('not_found', `there is no queue of "${run}"`);
      });
      return true;
    } catch (error) {
      if (error instanceof SubzeroError && error.code === 'not_found') return false;
      throw error;
    }
  }

  /** Throws away what is left of a run's tasks. */
  async closeQueue(run: string): Promise<void> {
    await this.#jsm.streams.purge(`${this.#prefix}_tasks`, { filter: `${this.#prefix}.task.${run}` }).catch(() => {});
    await this.#jsm.consumers.delete(`${this.#prefix}_tasks`, run).catch(() => {});
  }

  async offer(run: string, data: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#persist(signal, () => this.#js.publish(`${this.#prefix}.task.${run}`, data));
  }

  /**
   * The tasks of a run, for one who scores them.
   * @param deadline seconds after which one goes to somebody else
   * @param missing is called where the server has no queue of this run
   */
  tasks(run: string, deadline: number, missing: () => void = () => {}): TaskFeed {
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#prefix}_tasks.${run}`;
    const feed = new TaskFeed(this.#connection, { subject, createInbox: this.#createInbox, deadline, missing });
    for (const other of this.#feeds) if (other.isClosed) this.#feeds.delete(other);
    this.#feeds.add(feed);
    return feed;
  }

  // Answers.

  /** Takes answers for a run. @returns ends it */
  onAnswer(run: string, take: (data: Uint8Array) => Uint8Array): () => void {
    const subscription = this.#connection.subscribe(`${this.#prefix}.answer.${run}`, {
      callback: (error, message) => {
        if (!error) message.respond(take(message.data));
      },
    });
    return () => subscription.unsubscribe();
  }

  /**
   * Sends an answer.
   * @returns what the coordinator says, or nothing if it does not
   * @throws SubzeroError `io` where the server will never take it
   */
  async answer(run: string, data: Uint8Array): Promise<Uint8Array | undefined> {
    try {
      return (await this.#connection.request(`${this.#prefix}.answer.${run}`, data, { timeout: 5000 })).data;
    } catch (error) {
      const problem = lastingProblem(error, this.#place);
      if (problem) throw problem;
      return undefined;
    }
  }

  // Who owns a run.

  /** The next epoch of a run. @param known one that it has had, should the server have lost it */
  nextEpoch(run: string, known = 0): Promise<number> {
    // What fails because somebody else was faster works the next time.
    return this.#persist(undefined, async () => {
      const entry = await this.#epochs.get(run);
      const epoch = Math.max(known, entry?.operation === 'PUT' ? entry.json<number>() : 0) + 1;
      if (entry) await this.#epochs.update(run, JSON.stringify(epoch), entry.revision);
      else await this.#epochs.create(run, JSON.stringify(epoch));
      return epoch;
    });
  }

  /** Takes the lease of a run. @returns its revision, or nothing while another process holds it */
  async takeLease(run: string, data: Uint8Array): Promise<number | undefined> {
    return await this.#unlessTaken(() => this.#lease.create(run, data));
  }

  /** @returns the new revision, or nothing if the lease is lost */
  async renewLease(run: string, data: Uint8Array, revision: number): Promise<number | undefined> {
    return await this.#unlessTaken(() => this.#lease.update(run, data, revision));
  }

  /** Tries once, as a lease that comes late is no use. @throws SubzeroError `io` where it will never be given */
  async #unlessTaken(take: () => Promise<number>): Promise<number | undefined> {
    try {
      return await take();
    } catch (error) {
      const problem = lastingProblem(error, this.#place);
      if (problem) throw problem;
      if (isGone(error)) await this.#provide().catch(() => {});
      return undefined;
    }
  }

  async giveUpLease(run: string): Promise<void> {
    await this.#lease.purge(run).catch(() => {});
  }

  /** What the lease of a run says; `given up` where its owner is done with it, nothing where it ran out. */
  async leaseOf(run: string): Promise<Uint8Array | 'given up' | undefined> {
    const entry = await this.#lease.get(run).catch(() => null);
    if (!entry) return undefined;
    return entry.operation === 'PUT' ? entry.value : 'given up';
  }

  /** What the leases of all runs say. */
  async leases(): Promise<Uint8Array[]> {
    try {
      const keys: string[] = [];
      for await (const key of await this.#lease.keys()) keys.push(key);
      const values = await Promise.all(keys.map((key) => this.leaseOf(key)));
      return values.filter((value) => value instanceof Uint8Array);
    } catch {
      return [];
    }
  }

  /** Bytes that this process has sent and received. */
  get traffic(): { sent: number; received: number } {
    const { outBytes, inBytes } = this.#connection.stats();
    return { sent: outBytes, received: inBytes };
  }

  /** Whether the server is away; the connection is made again when it is back. */
  get isAway(): boolean {
    return this.#away;
  }

  /** Calls somebody whenever the server is back. */
  onReturn(call: () => void): void {
    this.#onReturn = call;
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** Does something until it works, as the server may be away; what is wrong with us ends it. */
  async #persist<T>(signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
    for (;;) {
      this.check();
      try {
        return await action();
      } catch (error) {
        const given = signal?.aborted || this.#abandoned?.aborted || this.#connection.isClosed();
        if (error instanceof SubzeroError || given) throw this.#failure ?? error;
        const problem = lastingProblem(error, this.#place);
        if (problem) throw problem;
        // What an administrator has removed is made anew; a server that has just come back says so of all there is.
        if (isGone(error)) await this.#provide().catch(() => {});
        await sleep(retryMilliseconds);
      }
    }
  }
}

/** Ends a reader whose consumer is gone, long before the client would find that out and go on somewhere else. */
async function stopWhenLost(messages: ConsumerMessages): Promise<void> {
  for await (const { type } of messages.status()) {
    if (/^(consumer_deleted|consumer_not_found|stream_not_found|heartbeats_missed|reset)$/.test(type)) messages.stop();
  }
}

/** What one says whose run somebody else goes on with. */
export function otherLeader(run: string): string {
  return `another coordinator goes on with the run "${run}"; this one stops`;
}
