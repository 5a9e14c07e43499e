/** What people do to a server, or have not done, while runs go on there: each in one line, without a wrong bit. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bus } from '../../src/cluster/bus.ts';
import type { CoordinatorOptions } from '../../src/cluster/coordinator.ts';
import { clusterRuns, fetchRun } from '../../src/cluster/runs.ts';
import type { WorkerEvent } from '../../src/cluster/worker.ts';
import type { LocalEngine } from '../../src/engine/local.ts';
import type { TrainEvent } from '../../src/engine/types.ts';
import type { StepRecord } from '../../src/zo/journal.ts';
import { collect, ofType, optionRows, quick, recordsOf, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';
import { begin } from './beginning.ts';
import { NatsServer, natsServerProgram, withRoomFor } from './nats.ts';

const program = natsServerProgram();

describe.skipIf(program === undefined)('what people do to a server', () => {
  let server: NatsServer;
  let engine: LocalEngine;
  let connection: NatsConnection;
  let manager: JetStreamManager;
  let model: string;
  let file: string;
  let expected: readonly StepRecord[];

  const configuration = { ...quick, steps: 12, shards: 4 };

  let end: () => Promise<void>;
  beforeAll(async () => {
    ({ server, connection, engine, model, file, expected, end } = await begin(program!, configuration));
    manager = await jetstreamManager(connection);
  });
  afterAll(() => end());

  /** A run with a worker, to which something happens after its fourth step. */
  async function trainThrough(
    act: (run: string) => Promise<unknown>,
    { url = server.url, data = file, ...options }: Partial<CoordinatorOptions> & { data?: string } = {},
  ) {
    const out = join(temporaryFolder(), 'run');
    const stop = new AbortController();
    const worker: WorkerEvent[] = [];
    let workerFailure: unknown;
    const working = (async () => {
      for await (const event of engine.work({ url, models: [model] }, stop.signal)) worker.push(event);
    })().catch((error: unknown) => (workerFailure = error));
    const events: TrainEvent[] = [];
    let name = '';
    let failure: unknown;
    const cluster = { url, deadline: 1, ...options };
    try {
      for await (const event of engine.train({ model, data: { file: data }, configuration, out, cluster })) {
        events.push(event);
        if (event.type === 'message') name = /trains this as "([^"]+)"/.exec(event.message)?.[1] ?? name;
        if (event.type !== 'step') continue;
        if (event.step === 1) for (let at = 0; at < 200 && worker.length < 2; at++) await sleep(50);
        if (event.step === 4) await act(name);
      }
    } catch (error) {
      failure = error;
    }
    stop.abort();
    await working;
    const messages = ofType(events, 'message').map(({ message }) => message);
    return { out, name, failure, workerFailure, worker, messages: messages.join('\n') };
  }

  type Act = (run: string) => Promise<unknown>;
  const acts: [string, Act[], RegExp[]][] = [
    [
      'purges journals and tasks',
      [() => manager.streams.purge('subzero_journals'), () => manager.streams.purge('subzero_tasks')],
      [/had lost steps of this run; they are copied/],
    ],
    [
      'removes journals and tasks',
      [() => manager.streams.delete('subzero_journals'), () => manager.streams.delete('subzero_tasks')],
      [/had lost steps of this run; they are copied/, /had lost the queue of this run; it is made anew/],
    ],
    [
      'removes the queue',
      [(run) => manager.consumers.delete('subzero_tasks', run)],
      [/had lost the queue of this run/],
    ],
    [
      'removes files and leases',
      [() => manager.streams.delete('OBJ_subzero_files'), () => manager.streams.delete('KV_subzero_leases')],
      [],
    ],
  ];
  test.each(acts)('somebody %s: the run and its worker go on to the same bits', async (_, all, lines) => {
    const act: Act = async (run) => {
      for (const each of all) await each(run);
    };
    const { out, name, failure, workerFailure, messages, worker } = await trainThrough(act, { snapshotEvery: 5 });
    expect(failure).toBeUndefined();
    expect(workerFailure).toBeUndefined();
    expect(worker.map(({ type }) => type)).toContain('joined');
    for (const line of lines) expect(messages).toMatch(line);
    expect(messages).not.toMatch(/refused|another coordinator|no snapshot/);
    expect(await recordsOf(out)).toEqual(expected);
    const copy = join(temporaryFolder(), 'copy');
    await fetchRun({ url: server.url }, name, copy);
    expect(await recordsOf(copy)).toEqual(expected);
  });

  test('epochs that are lost do not begin anew', async () => {
    const { out, name } = await trainThrough(() => manager.streams.delete('KV_subzero_epochs'));
    const steps = configuration.steps + 1;
    const events = await collect(engine.train({ resume: out, steps, cluster: { url: server.url } }));
    expect(ofType(events, 'done')[0]).toMatchObject({ outcome: 'finished' });
    const values = await manager.streams.getMessage('KV_subzero_epochs', {
      last_by_subj: `$KV.subzero_epochs.${name}`,
    });
    expect(values?.string()).toBe('2');
  });

  test('messages of 64 KB at most: examples and snapshots go in smaller pieces', async () => {
    const small = await NatsServer.start(program!, temporaryFolder(), 'max_payload: 64KB\n');
    // Some 200 KB of examples.
    const data = writeRows(Array.from({ length: 80 }, () => optionRows()).join(''));
    try {
      const alone = join(temporaryFolder(), 'alone');
      await collect(engine.train({ model, data: { file: data }, configuration, out: alone }));
      const { out, failure, worker, messages } = await trainThrough(async () => {}, { url: small.url, data });
      expect(failure).toBeUndefined();
      expect(worker.map(({ type }) => type)).toContain('joined');
      expect(messages).toMatch(/takes part/);
      expect(await recordsOf(out)).toEqual(await recordsOf(alone));
    } finally {
      await small.stop();
    }
  });

  test('messages that are too long for the server, a full disk, too few consumers: a line each', async () => {
    const start = (text: string) => NatsServer.start(program!, temporaryFolder(), text);
    const few = await start('accounts { A { jetstream: { max_consumers: 1 }, users: [{ user: a, password: a }] } }\n');
    const short = await start('max_payload: 1KB\n');
    const full = await start(withRoomFor(1 << 20));
    const filler = await connect({ servers: full.url });
    try {
      const filled = await jetstreamManager(filler);
      // The streams of a cluster are there before.
      await clusterRuns({ url: full.url });
      await filled.streams.add({ name: 'filler', subjects: ['filler'] });
      const js = jetstream(filler);
      for (const bytes of [100_000, 1000, 10]) {
        while (await js.publish('filler', new Uint8Array(bytes)).catch(() => undefined));
      }
      const lines: [string, RegExp][] = [
        [short.url, /takes no message as long as this one: .*; raise its max_payload/],
        [full.url, /has no room: .*; free some \(subzero cluster remove\)/],
      ];
      for (const [url, line] of lines) {
        const { failure } = await trainThrough(async () => {}, { url });
        expect(String(failure)).toMatch(line);
        expect(String(failure)).not.toContain('\n');
      }
      const bus = await Bus.connect({ url: `nats://a:a@${few.place}` }, 'test');
      const stop = new AbortController();
      await bus.append('run', new Uint8Array([1]), 0);
      const first = bus.follow('run', stop.signal);
      await first.next();
      await expect(bus.follow('run', stop.signal).next()).rejects.toThrow(
        /refuses: .*consumers limit.*; raise the limits of streams and consumers/,
      );
      stop.abort();
      await first.return(undefined);
      await bus.close();
    } finally {
      await filler.close();
      for (const each of [few, short, full]) await each.stop();
    }
  });

  test('a worker with another version of the model says so, and takes no part', async () => {
    const stop = new AbortController();
    const events: WorkerEvent[] = [];
    const other = tinyModel();
    const weights = join(other, 'model.safetensors');
    const bytes = readFileSync(weights);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(weights, bytes);
    const out = join(temporaryFolder(), 'run');
    const working = (async () => {
      for await (const event of engine.work({ url: server.url, models: [other] }, stop.signal)) events.push(event);
    })();
    const cluster = { url: server.url };
    for await (const event of engine.train({ model, data: { file }, configuration, out, cluster })) {
      if (event.type !== 'step' || event.step !== 1) continue;
      for (let at = 0; at < 200 && !events.some(({ type }) => type === 'message'); at++) await sleep(50);
    }
    stop.abort();
    await working;
    const messages = events.flatMap((event) => (event.type === 'message' ? [event.message] : []));
    expect(messages).toEqual([
      expect.stringMatching(/is not joined: its base model \(fingerprint [0-9a-f]{12}\) is none/),
    ]);
    expect(events.map(({ type }) => type)).not.toContain('joined');
    expect(await recordsOf(out)).toEqual(expected);
  });
});
