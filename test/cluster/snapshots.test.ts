import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Bus } from '../../src/cluster/bus.ts';
import { differenceOf, sketchOf } from '../../src/cluster/digest.ts';
import { decode, encode } from '../../src/cluster/protocol.ts';
import { decodeSnapshot, encodeSnapshot, type Snapshot } from '../../src/cluster/snapshot.ts';
import { TaskFeed } from '../../src/cluster/task-feed.ts';
import type { WorkerEvent } from '../../src/cluster/worker.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import type { TrainEvent } from '../../src/engine/types.ts';
import { openJournal } from '../../src/zo/journal.ts';
import { withSeed } from '../support/random.ts';
import {
  collect,
  ofType,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from '../train/tiny.ts';
import { NatsServer, natsServerProgram } from './nats.ts';

const joinBytes = (pieces: Iterable<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat([...pieces]));

test('a snapshot arrives as it was; with any byte changed, cut or added it is refused', () =>
  withSeed('snapshot', (random) => {
    const snapshot: Snapshot = {
      ...{ run: 'a', step: 7, sequence: 9, record: 'r', baseFingerprint: 'b' },
      state: {
        numbers: [1 - 2 ** -53, -1],
        buffers: [
          { name: 'state', bytes: new Uint8Array(random.normals(64).buffer) },
          { name: 'odd', bytes: Uint8Array.of(1, 2, 3) },
          { name: 'none', bytes: new Uint8Array() },
        ],
      },
    };
    const file = joinBytes(encodeSnapshot(snapshot));
    expect(decodeSnapshot(file)).toEqual(snapshot);
    for (let trial = 0; trial < 20; trial++) {
      const changed = file.slice();
      changed[Math.floor(random.uniform() * file.length)]! ^= 1;
      expect(() => decodeSnapshot(changed)).toThrow(/does not match its checksum/);
    }
    for (const other of [file.subarray(1), file.subarray(0, -1), joinBytes([file, Uint8Array.of(0)])]) {
      expect(() => decodeSnapshot(other)).toThrow(/does not match its checksum/);
    }
    expect(() => decodeSnapshot(new Uint8Array())).toThrow(/it has 0 bytes/);
  }));

test('sketches tell how far two states are apart', () =>
  withSeed('sketch', (random) => {
    const values = random.normals(5000);
    expect(differenceOf(sketchOf(values), sketchOf(values))).toBe(0);
    for (const size of [1e-6, 1e-2]) {
      const noise = random.normals(5000, size);
      const other = values.map((value, index) => value + noise[index]!);
      const difference = differenceOf(sketchOf(values), sketchOf(other))!;
      // The mean of six squares of normal numbers: outside of this once in 10⁹.
      expect(difference).toBeGreaterThan(size / 60);
      expect(difference).toBeLessThan(size * 4);
    }
    expect(differenceOf(sketchOf(new Float32Array(4)), sketchOf(values))).toBeUndefined();
  }));

test('another version of the protocol is refused in one line that names both', () => {
  const old = new TextEncoder().encode('{"run":"mine","owner":"host:1","epoch":1}');
  expect(() => decode('announcement', old)).toThrow(
    'the coordinator of "mine" speaks version 1 of the cluster\'s protocol, this process version 3: ' +
      'use one version of subzero on all machines',
  );
  expect(() => decode('answer', new TextEncoder().encode('{"protocol":2}'))).toThrow(/a worker speaks version 2 of/);
});

const program = natsServerProgram();

describe.skipIf(program === undefined)('snapshots of a run', () => {
  let server: NatsServer;
  let engine: LocalEngine;
  let bus: Bus;
  let model: string;
  let file: string;
  const configuration = { ...quick, shards: 4, refresh: 3, adaptiveStep: true };
  const recordsOf = async (run: string) => (await openJournal(join(run, 'journal.subzero'))).records;
  let expected: readonly unknown[];

  beforeAll(async () => {
    server = await NatsServer.start(program!, temporaryFolder());
    engine = await LocalEngine.open();
    bus = await Bus.connect({ url: server.url }, 'test');
    model = tinyModel();
    file = writeRows(optionRows());
    const out = join(temporaryFolder(), 'alone');
    await collect(engine.train({ model, data: { file }, configuration, out }));
    expected = await recordsOf(out);
  });
  afterEach(() => vi.restoreAllMocks());
  afterAll(async () => {
    await bus.close();
    await engine.close();
    await server.stop();
    removeTemporary();
  });

  const snapshots = async () => (await bus.files.names()).filter((name) => name.startsWith('snapshot-')).sort();
  const until = async (condition: () => boolean | Promise<boolean>) => {
    for (let at = 0; at < 200 && !(await condition()); at++) await sleep(50);
    expect(await condition()).toBe(true);
  };

  /** A worker that takes part while something goes on. */
  async function withWorker<T>(action: (join: () => WorkerEvent[]) => Promise<T>): Promise<T> {
    const stop = new AbortController();
    const events: WorkerEvent[] = [];
    let working: Promise<void> | undefined;
    const begin = () => {
      working ??= (async () => {
        for await (const event of engine.work({ url: server.url, models: [model] }, stop.signal)) events.push(event);
      })();
      return events;
    };
    try {
      return await action(begin);
    } finally {
      stop.abort();
      await working;
    }
  }

  const cluster = () => ({ url: server.url, deadline: 2, snapshotEvery: 3 });

  async function train(out: string, told: (event: TrainEvent) => unknown, signal?: AbortSignal): Promise<TrainEvent[]> {
    const events: TrainEvent[] = [];
    const request = { model, data: { file }, configuration, out, cluster: cluster() };
    for await (const event of engine.train(request, signal)) {
      events.push(event);
      await told(event);
    }
    return events;
  }

  const at = (event: TrainEvent, step: number) => event.type === 'step' && event.step === step;
  const stepsOf = (names: string[]) => names.map((name) => Number(/-(\d+)$/.exec(name)![1])).sort((a, b) => a - b);

  test('who joins late begins with the newest, has the same bits, and few are kept', async () => {
    const out = join(temporaryFolder(), 'run');
    let seen: number[] = [];
    const joined = await withWorker(async (begin) => {
      let events: WorkerEvent[] = [];
      await train(out, async (event) => {
        if (!at(event, 11)) return;
        await until(async () => stepsOf(await snapshots()).join() === '6,9');
        seen = stepsOf(await snapshots());
        events = begin();
        await until(() => events.some(({ type }) => type === 'joined'));
      });
      return events.find((event) => event.type === 'joined');
    });
    expect(seen).toEqual([6, 9]);
    expect(joined).toMatchObject({ snapshot: 9, step: expect.any(Number) });
    expect(await recordsOf(out)).toEqual(expected);
    // Nobody joins a run that is done.
    expect(await snapshots()).toEqual([]);
  });

  test('a run is taken up from one; where both are wrong it is replayed, with a line for each', async () => {
    const out = join(temporaryFolder(), 'run');
    const stop = new AbortController();
    await train(
      out,
      async (event) => {
        if (!at(event, 11)) return;
        await until(async () => stepsOf(await snapshots()).join() === '6,9');
        stop.abort();
      },
      stop.signal,
    );
    const names = await snapshots();
    const good = new Map<string, Uint8Array>();
    for (const name of names) good.set(name, await bus.files.read(name, 1e9));
    const resume = async (bad: number[]) => {
      for (const name of names) {
        const bytes = good.get(name)!.slice();
        if (stepsOf([name]).some((step) => bad.includes(step))) bytes[bytes.length >> 1]! ^= 4;
        await bus.files.put(name, () => [bytes].values());
      }
      // No step is made, so that the run stays as it is.
      const events: TrainEvent[] = [];
      const stopped = AbortSignal.abort();
      for await (const event of engine.train({ resume: out, cluster: cluster() }, stopped)) events.push(event);
      return ofType(events, 'message')
        .map(({ message }) => message)
        .join('\n');
    };
    const older = await resume([9]);
    expect(older).toMatch(/snapshot of ".*" at step 9 cannot be used: it does not match its checksum; more steps/);
    expect(older).toMatch(/taken up from the cluster's snapshot at step 6/);
    const none = await resume([6, 9]);
    expect(none.match(/cannot be used/g)).toHaveLength(2);
    expect(none).not.toMatch(/taken up/);
    for (const name of names) await bus.files.put(name, () => [good.get(name)!].values());
    const events = await collect(engine.train({ resume: out, cluster: cluster() }));
    expect(ofType(events, 'message')[0]!.message).toBe("taken up from the cluster's snapshot at step 9");
    expect(await recordsOf(out)).toEqual(expected);
  });

  /** Changes the digests of a worker, and leaves all shards to it while the coordinator shall not score any. */
  function forging(offset: (digests: number) => number, leavesAll: (digests: number) => boolean) {
    const { answer, tasks, leases } = Bus.prototype;
    const { next } = TaskFeed.prototype;
    let worker: Bus | undefined;
    const feeds = new Set<TaskFeed>();
    const seen = { digests: 0 };
    vi.spyOn(Bus.prototype, 'leases').mockImplementation(function (this: Bus) {
      worker ??= this;
      return leases.call(this);
    });
    vi.spyOn(Bus.prototype, 'tasks').mockImplementation(function (this: Bus, run, deadline) {
      const feed = tasks.call(this, run, deadline);
      if (this === worker) feeds.add(feed);
      return feed;
    });
    vi.spyOn(TaskFeed.prototype, 'next').mockImplementation(async function (this: TaskFeed, milliseconds) {
      if (feeds.has(this) || !leavesAll(seen.digests)) return next.call(this, milliseconds);
      this.ready()?.giveBack();
      await sleep(50);
      return undefined;
    });
    vi.spyOn(Bus.prototype, 'answer').mockImplementation(async function (this: Bus, run, data) {
      const said = decode('answer', data);
      if (said.digest === undefined) return answer.call(this, run, data);
      const by = offset(seen.digests);
      const [length] = said.sketch as [number];
      const sketch = said.sketch!.map((sum, index) => (index === 0 ? sum : sum + by * length));
      const forged = encode('answer', { ...said, digest: 'f'.repeat(32), sketch });
      const reply = await answer.call(this, run, by === 0 ? data : forged);
      seen.digests++;
      return reply;
    });
    return seen;
  }

  test('a worker whose state differs is named with the difference, and takes that of the coordinator', async () => {
    let late = false;
    const seen = forging(
      (digests) => (digests === 0 ? 1e-6 : 0),
      (digests) => digests === 0 || (late && digests === before),
    );
    let before = 0;
    const out = join(temporaryFolder(), 'run');
    const events = await withWorker(async (begin) => {
      const worker = begin();
      const taken = (each: WorkerEvent) => each.type === 'message' && /took the coordinator's state/.test(each.message);
      return await train(out, async (event) => {
        // Forged before the first or the fourth step, thus there is a snapshot before the seventh.
        if (!at(event, 9)) return;
        await until(() => worker.some(taken));
        before = seen.digests;
        late = true;
      });
    });
    const told = ofType(events, 'message').map(({ message }) => message);
    expect(told.join('\n')).toMatch(
      /differs from this one's at step \d+ by about 1e-6 of its length: .*after the next fold it takes this one's state/,
    );
    expect(told.some((message) => /has this one's state again at step/.test(message))).toBe(true);
    expect(await recordsOf(out)).toEqual(expected);
  });

  test('a state that is far off is no rounding: the worker is refused', async () => {
    forging(
      () => 0.1,
      (digests) => digests === 0,
    );
    const out = join(temporaryFolder(), 'run');
    const stop = new AbortController();
    const working = (async () => {
      for await (const _ of engine.work({ url: server.url, models: [model] }, stop.signal));
    })().catch((error: unknown) => error);
    const told = ofType(await train(out, () => {}), 'message');
    stop.abort();
    expect(String(await working)).toMatch(/the coordinator of ".*" refuses what this worker sends: .*no rounding/);
    expect(told.map(({ message }) => message).join('\n')).toMatch(/is refused: .*by about 1e-1 of its length, which/);
    expect(await recordsOf(out)).toEqual(expected);
  });
});
