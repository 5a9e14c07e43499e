/**
 * The way to a NATS server with JetStream, and what a cluster has there: streams and buckets.
 *
 * @module
 */

import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { KV } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import type { ObjectStore } from '@nats-io/obj';
import { SubzeroError } from '../errors.ts';
import { type ClusterAddress, type Login, loginOf, withoutPassword } from './address.ts';
import { codeOf, lastingProblem, noJetStream, type Place, streamNotFound, tlsProblem } from './problems.ts';
import { retryMilliseconds, sleep } from './waiting.ts';

const nanoseconds = 1e9;

/** Longest wait for the server at the beginning. */
const patienceMilliseconds = 5000;

/** Longest wait for one that lets us in, and goes away before all that is needed has been made there. */
const restartMilliseconds = 30_000;

export async function packages() {
  const [transport, core, jetstream, kv, obj] = await Promise.all([
    import('@nats-io/transport-node'),
    import('@nats-io/nats-core'),
    import('@nats-io/jetstream'),
    import('@nats-io/kv'),
    import('@nats-io/obj'),
  ]);
  return { transport, core, jetstream, kv, obj };
}

/** How a server is waited for. */
export interface ConnectOptions {
  /** Seconds after which a run whose coordinator is gone may be taken up; 15 by default. */
  leaseSeconds?: number;
  /** Milliseconds that a server which does not answer is waited for; 5000 by default. */
  patience?: number;
  /** Ends every wait for a server that is away. */
  abandoned?: AbortSignal;
}

/** A connection, and what a cluster has there. */
export interface Connected {
  connection: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  lease: KV;
  epochs: KV;
  files: ObjectStore;
  prefix: string;
  createInbox: () => string;
  /** Makes the streams and buckets that are not there. */
  provide: () => Promise<unknown>;
  place: Place;
  login: Login;
}

/**
 * Connects, and makes the streams and buckets that are not there yet.
 * @param name of this process, as the server's monitoring shows it
 * @throws SubzeroError `io` where there is no server, or one without JetStream
 */
export async function connect(address: ClusterAddress, name: string, options: ConnectOptions = {}): Promise<Connected> {
  const { leaseSeconds = 15, patience = patienceMilliseconds, abandoned } = options;
  const { prefix = 'subzero' } = address;
  if (!/^[A-Za-z0-9_-]{1,40}$/.test(prefix)) {
    throw new SubzeroError(
      'invalid_argument',
      `the prefix of a cluster may have letters, digits, "-" and "_"; got "${prefix}"`,
      { parameter: 'clusterPrefix' },
    );
  }
  const login = await loginOf(address);
  const place = { server: withoutPassword(address.url), who: login.who };
  // A server that is being restarted is back in a moment.
  const begun = performance.now();
  for (;;) {
    try {
      return await open(login, place, { prefix, name, leaseSeconds, patience });
    } catch (error) {
      if (!(error instanceof SubzeroError)) throw error;
      if (lastingProblem(error.cause, place) || tlsProblem(error.cause, false)) throw error;
      const unfinished = error.message.includes(noJetStream) && (error.cause as Error).name === 'TimeoutError';
      const longest = unfinished ? restartMilliseconds : patience;
      if (abandoned?.aborted || performance.now() - begun > longest) throw error;
      await sleep(retryMilliseconds);
    }
  }
}

async function open(
  login: Login,
  place: Place,
  options: { prefix: string; name: string; leaseSeconds: number; patience: number },
): Promise<Connected> {
  const { prefix, name, leaseSeconds, patience } = options;
  const { transport, core, jetstream, kv, obj } = await packages();
  let connection: NatsConnection;
  try {
    connection = await transport.connect({
      ...login.options,
      name,
      timeout: Math.min(patience, patienceMilliseconds),
      maxReconnectAttempts: -1,
      reconnectTimeWait: retryMilliseconds,
      // It would end at the second refusal, before credentials that were replaced have been read.
      ignoreAuthErrorAbort: true,
    });
  } catch (error) {
    const tls = tlsProblem(error, login.options.tls !== undefined);
    const message = tls
      ? `the NATS server at ${place.server} cannot be reached by TLS: ${tls}`
      : `no NATS server answers at ${place.server}: ${(error as Error).message}; ` +
        'start one ("subzero cluster up"), or name another with --cluster';
    throw lastingProblem(error, place) ?? new SubzeroError('io', message, { parameter: 'cluster', cause: error });
  }
  try {
    const jsm = await jetstream.jetstreamManager(connection);
    const js = jetstream.jetstream(connection);
    const kvm = new kv.Kvm(js);
    const provide = async () => {
      await ensure(jsm, {
        name: `${prefix}_journals`,
        subjects: [`${prefix}.journal.*`],
        storage: jetstream.StorageType.File,
        retention: jetstream.RetentionPolicy.Limits,
        duplicate_window: 120 * nanoseconds,
        allow_direct: true,
      });
      await ensure(jsm, {
        name: `${prefix}_tasks`,
        subjects: [`${prefix}.task.*`],
        storage: jetstream.StorageType.File,
        retention: jetstream.RetentionPolicy.Workqueue,
        duplicate_window: 1 * nanoseconds,
      });
      const lease = await kvm.create(`${prefix}_leases`, { ttl: leaseSeconds * 1000 });
      const epochs = await kvm.create(`${prefix}_epochs`);
      const files = await new obj.Objm(js).create(`${prefix}_files`);
      return { lease, epochs, files };
    };
    const made = { connection, js, jsm, ...(await provide()), provide, prefix, place, login };
    return { ...made, createInbox: () => core.createInbox() };
  } catch (error) {
    await connection.close();
    throw (
      lastingProblem(error, place) ??
      new SubzeroError(
        'io',
        `the NATS server at ${place.server} ${noJetStream} to ${place.who}: ${(error as Error).message}; ` +
          'start it with JetStream (nats-server -js), and enable that for the account',
        { parameter: 'cluster', cause: error },
      )
    );
  }
}

/** Adds a stream, or leaves the one of this name as it is. */
async function ensure(jsm: JetStreamManager, stream: Parameters<JetStreamManager['streams']['add']>[0]): Promise<void> {
  try {
    await jsm.streams.info(stream.name!);
  } catch (error) {
    if (codeOf(error) !== streamNotFound) throw error;
    await jsm.streams.add(stream);
  }
}
