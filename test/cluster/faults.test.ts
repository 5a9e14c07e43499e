import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bus } from '../../src/cluster/bus.ts';
import type { CoordinatorOptions } from '../../src/cluster/coordinator.ts';
import { decodeExamples, examplesFile } from '../../src/cluster/examples-file.ts';
import { type Answer, decode, encode, type Reply, type Task } from '../../src/cluster/protocol.ts';
import { clusterRuns, removeClusterRun } from '../../src/cluster/runs.ts';
import type { LocalEngine } from '../../src/engine/local.ts';
import type { TrainEvent } from '../../src/engine/types.ts';
import { samplerOf } from '../../src/train/examples.ts';
import { partsOf } from '../../src/train/shards.ts';
import { decodeHeader } from '../../src/zo/journal-format.ts';
import { collect, ofType, quick, recordsOf, temporaryFolder } from '../train/tiny.ts';
import { begin } from './beginning.ts';
import { NatsServer, natsServerProgram, withRoomFor } from './nats.ts';

const program = natsServerProgram();

/** What a worker that is not ours sends instead of an answer that looks right. */
type Forge = (answer: Answer, task: Task) => Uint8Array | Promise<Uint8Array>;

describe.skipIf(program === undefined)('faults of a cluster', () => {
  let server: NatsServer;
  let engine: LocalEngine;
  let connection: NatsConnection;
  let model: string;
  let file: string;
  /** The records of one process. */
  let expected: readonly unknown[];

  const configuration = { ...quick, shards: 4 };

  let end: () => Promise<void>;
  beforeAll(async () => {
    ({ server, connection, engine, model, file, expected, end } = await begin(program!, configuration));
  });
  afterAll(() => end());

  /** Trains over the cluster; `begun` is told the run's name there before its first step. */
  async function train(
    options: Partial<CoordinatorOptions>,
    begun: (run: string) => void,
    told: (event: TrainEvent) => unknown = () => {},
  ): Promise<{ out: string; messages: string; events: TrainEvent[]; failure: unknown }> {
    const out = join(temporaryFolder(), 'run');
    const cluster = { url: server.url, deadline: 1, ...options };
    const events: TrainEvent[] = [];
    let failure: unknown;
    try {
      for await (const event of engine.train({ model, data: { file }, configuration, out, cluster })) {
        events.push(event);
        const name = event.type === 'message' ? /trains this as "([^"]+)"/.exec(event.message)?.[1] : undefined;
        if (name !== undefined) begun(name);
        await told(event);
      }
    } catch (error) {
      failure = error;
    }
    const messages = ofType(events, 'message').map(({ message }) => message);
    return { out, messages: messages.join('\n'), events, failure };
  }

  /** Takes one task of a run, and sends what is forged. @returns what the coordinator says */
  async function forgeOne(run: string, forge: Forge, ready: () => void): Promise<Reply> {
    const bus = await Bus.connect({ url: server.url }, 'forger');
    try {
      const announcement = (await bus.leases())
        .map((data) => decode('announcement', data))
        .find((it) => it.run === run)!;
      const examples = (await bus.files.get(examplesFile(announcement.dataFingerprint), decodeExamples))!;
      const stop = new AbortController();
      const first = await bus.follow(run, stop.signal).next();
      stop.abort();
      const { header } = decodeHeader((first.value as { data: Uint8Array }).data, run);
      const sampler = samplerOf(header.configuration, examples);
      const feed = bus.tasks(run, 30);
      const taking = feed.next(60_000);
      ready();
      const taken = (await taking)!;
      const task = decode('task', taken.data);
      const rows = sampler.batch(task.step).map((row) => examples[row]!);
      const shard = partsOf(rows, { shards: task.shards, queryShards: 1 }, 2)[task.shard]!.examples;
      const scored = shard.flatMap(({ continuations }) => continuations.map((each) => each.scored));
      const sums = {
        ...{ optionLoss: 1, optionExamples: shard.length, correct: 0 },
        ...{ completionLoss: 0, completionTokens: 0, completionExamples: 0 },
        tokens: scored.reduce((sum, count) => sum + count, 0),
      };
      const { epoch, step, shard: index, firstProbe } = task;
      const worker = { name: 'forger', adapter: 'none', software: true };
      const answer = { worker, epoch, step, shard: index, firstProbe, sums: [sums, sums], milliseconds: 1 };
      const reply = await connection.request(`subzero.answer.${run}`, await forge(answer, task), { timeout: 5000 });
      return decode('reply', reply.data);
    } finally {
      await bus.close();
    }
  }

  /** Trains while a forger answers one task of the first step, which begins when it waits for one. */
  async function trainWith(
    forge: Forge,
    options: Partial<CoordinatorOptions> = {},
    told: (event: TrainEvent, forged: Promise<unknown> | undefined) => unknown = () => {},
  ) {
    let forged: Promise<Reply> | undefined;
    let ready: Promise<void> | undefined;
    const result = await train(
      options,
      (run) => {
        ready = new Promise((resolve) => {
          forged = forgeOne(run, forge, resolve);
        });
        forged!.catch(() => {});
      },
      async (event) => {
        await told(event, forged);
        if (event.type !== 'message' || !/trains this as/.test(event.message)) return;
        await ready;
        // Its wish for a task is on its way.
        await sleep(300);
      },
    );
    return { ...result, reply: await forged! };
  }

  const lies: [string, Forge, Reply['verdict'], RegExp][] = [
    [
      'no number',
      (answer) => encode('answer', { ...answer, sums: answer.sums.map((sums) => ({ ...sums, optionLoss: null })) }),
      'taken',
      /worker forger sent a loss that is no number/,
    ],
    [
      'an epoch to come',
      (answer) => encode('answer', { ...answer, epoch: answer.epoch + 1 }),
      'late',
      /worker forger is refused: it is of epoch 2; this coordinator has epoch 1/,
    ],
    [
      'too few probes',
      (answer) => encode('answer', { ...answer, sums: [answer.sums[0]!] }),
      'refused',
      /worker forger is refused: sums of 1 probes; the part has 2/,
    ],
    [
      'another number of tokens',
      (answer) => encode('answer', { ...answer, sums: answer.sums.map((sums) => ({ ...sums, tokens: 1 })) }),
      'refused',
      /worker forger is refused: sums of 1 scored tokens/,
    ],
    ['300 000 bytes', () => new Uint8Array(300_000), 'refused', /sent what is no answer: a message of 300000 bytes/],
    [
      'half a message',
      (answer) => encode('answer', answer).subarray(0, 40),
      'refused',
      /sent what is no answer: a message that is no JSON/,
    ],
  ];
  test.each(lies)('%s: named, and the run has the same bits', async (_, forge, verdict, message) => {
    const { out, messages, reply, failure } = await trainWith(forge);
    expect(failure).toBeUndefined();
    expect(reply.verdict).toBe(verdict);
    expect(messages).toMatch(message);
    expect(await recordsOf(out)).toEqual(expected);
  });

  test('an answer after the deadline is late: somebody else has scored the shard, to the same bits', async () => {
    let waited = 0;
    let scored: () => void = () => {};
    const stepped = new Promise<void>((resolve) => (scored = resolve));
    const forge: Forge = async (answer) => {
      const begun = performance.now();
      await stepped;
      waited = performance.now() - begun;
      return encode('answer', answer);
    };
    const { out, reply, failure } = await trainWith(forge, {}, (event, forged) => {
      if (event.type !== 'step') return;
      scored();
      return forged;
    });
    expect(failure).toBeUndefined();
    // The step could not end before the deadline of a second.
    expect(waited).toBeGreaterThan(500);
    expect(reply.verdict).toBe('late');
    expect(await recordsOf(out)).toEqual(expected);
  });

  test('a digest that differs: named, and the end of a run that is strict', async () => {
    // Only the first of the twelve steps asks for digests.
    const forge: Forge = (answer) =>
      encode('answer', {
        ...answer,
        digest: 'f'.repeat(32),
        sums: answer.sums.map((sums) => ({ ...sums, optionLoss: null })),
      });
    const tolerant = await trainWith(forge);
    expect(tolerant.messages).toMatch(/the state of worker forger \(none\) differs from this one's at step 0/);
    expect(await recordsOf(tolerant.out)).toEqual(expected);
    const strict = await trainWith(forge, { strict: true });
    expect(String(strict.failure)).toMatch(/worker forger .* differs .*--strict ends the run here/);
    expect(strict.reply.verdict).toBe('refused');
  });

  test('each answer comes three times, the last in a later step: the same bits', async () => {
    const stop = new AbortController();
    let joined = false;
    let repeats = 0;
    const working = (async () => {
      for await (const event of engine.work({ url: server.url, models: [model] }, stop.signal)) {
        joined ||= event.type === 'joined';
      }
    })();
    const seen = new Set<string>();
    const { out, messages, failure } = await train(
      {},
      (run) => {
        connection.subscribe(`subzero.answer.${run}`, {
          callback: (_, { data }) => {
            const text = Buffer.from(data).toString();
            if (seen.has(text)) return;
            seen.add(text);
            const again = () => {
              repeats++;
              connection.publish(`subzero.answer.${run}`, data);
            };
            again();
            setTimeout(again, 150);
          },
        });
      },
      async (event) => {
        if (event.type === 'step' && event.step === 1) for (let at = 0; at < 200 && !joined; at++) await sleep(50);
      },
    );
    stop.abort();
    await working;
    expect(failure).toBeUndefined();
    expect(repeats).toBeGreaterThan(0);
    expect(messages).not.toMatch(/refused|no answer/);
    expect(await recordsOf(out)).toEqual(expected);
  });

  test('what a run keeps in the cluster goes: its examples when it ends, its journal when it is removed', async () => {
    let name = '';
    let refusal: unknown;
    await train(
      {},
      (run) => (name = run),
      async (event) => {
        if (event.type === 'step' && event.step === 2) {
          refusal = await removeClusterRun({ url: server.url }, name).catch((error: unknown) => error);
        }
      },
    );
    expect(String(refusal)).toMatch(/trains the run ".*"; stop it there first/);
    const bus = await Bus.connect({ url: server.url }, 'test');
    expect(await bus.files.names()).toEqual([]);
    await bus.close();
    const names = async () => (await clusterRuns({ url: server.url })).map(({ run }) => run);
    expect(await names()).toContain(name);
    await removeClusterRun({ url: server.url }, name);
    expect(await names()).not.toContain(name);
    await expect(removeClusterRun({ url: server.url }, name)).rejects.toThrow(/the cluster has no run/);
  });

  test('a full disk of the server ends the run with a name, and it goes on to the same bits', async () => {
    const small = await NatsServer.start(program!, temporaryFolder(), withRoomFor(1 << 20));
    const filler = await connect({ servers: small.url });
    try {
      const manager = await jetstreamManager(filler);
      let name = '';
      const { out, failure } = await train(
        { url: small.url },
        (run) => (name = run),
        async (event) => {
          if (event.type !== 'step' || event.step !== 4) return;
          await manager.streams.add({ name: 'filler', subjects: ['filler'] });
          const js = jetstream(filler);
          // The smallest pieces fill what the larger ones leave.
          for (const bytes of [100_000, 1000, 10]) {
            while (await js.publish('filler', new Uint8Array(bytes)).catch(() => undefined));
          }
        },
      );
      expect(String(failure)).toMatch(/the NATS server has no room: .*subzero cluster remove/);
      const before = await recordsOf(out);
      expect(before).toEqual(expected.slice(0, before.length));
      expect(before.length).toBeGreaterThanOrEqual(4);
      await manager.streams.delete('filler');
      // A lease cannot be given up on a full disk; nobody here waits until it has run out.
      const bus = await Bus.connect({ url: small.url }, 'test');
      await bus.giveUpLease(name);
      await bus.close();
      await collect(engine.train({ resume: out, cluster: { url: small.url } }));
      expect(await recordsOf(out)).toEqual(expected);
    } finally {
      await filler.close();
      await small.stop();
    }
  });

  test('a run is stopped while the server is away: its steps are kept, and it goes on later', async () => {
    const folder = temporaryFolder();
    const own = await NatsServer.start(program!, folder);
    const out = join(temporaryFolder(), 'run');
    const stop = new AbortController();
    const events: TrainEvent[] = [];
    const cluster = { url: own.url, deadline: 1 };
    for await (const event of engine.train({ model, data: { file }, configuration, out, cluster }, stop.signal)) {
      events.push(event);
      if (event.type !== 'step' || event.step !== 3) continue;
      await own.stop();
      stop.abort();
    }
    expect(events.at(-1)).toMatchObject({ type: 'done', outcome: 'stopped' });
    expect(ofType(events, 'message').map(({ message }) => message)).toContainEqual(
      expect.stringContaining('the NATS server is away'),
    );
    const kept = await recordsOf(out);
    expect(kept).toEqual(expected.slice(0, kept.length));
    expect(kept.length).toBeGreaterThanOrEqual(3);
    await collect(engine.train({ resume: out, cluster: { url: server.url, deadline: 1 } }));
    expect(await recordsOf(out)).toEqual(expected);
  }, 60_000);

  test('a run that is stopped while the server restarts ends its step long before the deadline', async () => {
    const own = await NatsServer.start(program!, temporaryFolder());
    const out = join(temporaryFolder(), 'run');
    const stop = new AbortController();
    const cluster = { url: own.url, deadline: 600 };
    // Somebody who takes tasks, and is never heard of again.
    const bus = await Bus.connect({ url: own.url }, 'taker');
    let asked = 0;
    for await (const event of engine.train({ model, data: { file }, configuration, out, cluster }, stop.signal)) {
      const name = event.type === 'message' ? /trains this as "([^"]+)"/.exec(event.message)?.[1] : undefined;
      if (name !== undefined) {
        bus.tasks(name, 600).room = 2;
        await sleep(300);
      }
      // The step after the first one waits for tasks that are lost.
      if (event.type === 'start') {
        setTimeout(async () => {
          await own.stop('SIGKILL');
          await own.start();
          asked = performance.now();
          stop.abort();
        }, 2000);
      }
    }
    expect(asked).toBeGreaterThan(0);
    expect(performance.now() - asked).toBeLessThan(60_000);
    await bus.close();
    await own.stop();
    const kept = await recordsOf(out);
    expect(kept).toEqual(expected.slice(0, kept.length));
    await collect(engine.train({ resume: out, cluster: { url: server.url, deadline: 1 } }));
    expect(await recordsOf(out)).toEqual(expected);
  }, 120_000);
});
