import { existsSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode, encode, type Task } from '../../src/cluster/protocol.ts';
import { clusterRuns, fetchRun } from '../../src/cluster/runs.ts';
import type { WorkerEvent } from '../../src/cluster/worker.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import type { TrainEvent } from '../../src/engine/types.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import {
  collect,
  journalOf,
  ofType,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from '../train/tiny.ts';
import { NatsServer, natsServerProgram } from './nats.ts';

const program = natsServerProgram();

describe.skipIf(program === undefined)('a cluster', () => {
  let server: NatsServer;
  let engine: LocalEngine;
  let model: string;
  let file: string;

  beforeAll(async () => {
    server = await NatsServer.start(program!, temporaryFolder());
    engine = await LocalEngine.open();
    model = tinyModel();
    file = writeRows(optionRows());
  });
  afterAll(async () => {
    await engine.close();
    await server.stop();
    removeTemporary();
  });

  const cluster = () => ({ url: server.url, deadline: 2 });

  /** Trains in a new folder; the last parameter is told each event. */
  async function train(
    configuration: Partial<TrainConfiguration>,
    shared: boolean,
    told: (event: TrainEvent) => unknown = () => {},
  ): Promise<{ run: string; events: TrainEvent[] }> {
    const run = join(temporaryFolder(), 'run');
    const request = { model, data: { file }, configuration: { ...quick, shards: 4, ...configuration }, out: run };
    const events: TrainEvent[] = [];
    for await (const event of engine.train({ ...request, ...(shared ? { cluster: cluster() } : {}) })) {
      events.push(event);
      await told(event);
    }
    return { run, events };
  }

  /** Lets a worker take part while something goes on. */
  async function withWorkers<T>(count: number, action: (events: WorkerEvent[]) => Promise<T>): Promise<T> {
    const stop = new AbortController();
    const events: WorkerEvent[] = [];
    const workers = Array.from({ length: count }, async () => {
      for await (const event of engine.work({ url: server.url, models: [model] }, stop.signal)) events.push(event);
    });
    try {
      return await action(events);
    } finally {
      stop.abort();
      await Promise.all(workers);
    }
  }

  /** Waits until a worker has joined, so that it has something to do in a run as short as this. */
  const joined = (events: WorkerEvent[]) => async (event: TrainEvent) => {
    if (event.type !== 'step' || event.step !== 1) return;
    for (let waited = 0; waited < 200 && !events.some(({ type }) => type === 'joined'); waited++) await sleep(50);
  };

  const cases: [string, Partial<TrainConfiguration>][] = [
    ['SubZero', {}],
    ['SubZero on LoRA, ranges of three queries', { scheme: 'lora', queries: 3, shards: 2, queryShards: 2, seed: 5 }],
    ['SubZero+, each probe by itself', { optimizer: 'subzero-plus', queries: 3, shards: 1, queryShards: 4, seed: 7 }],
    ['MeZO on completions of one pass a shard', { optimizer: 'mezo', seed: 9 }],
  ];
  test.each(cases)('%s: the bits of one process with the same shards', async (_, configuration) => {
    const alone = await train(configuration, false);
    const { run, events } = await withWorkers(2, (told) => train({ ...configuration, steps: 12 }, true, joined(told)));
    const [expected, actual] = [await journalOf(alone.run), await journalOf(run)];
    expect(actual.records).toEqual(expected.records);
    expect(ofType(events, 'done')[0]!.outcome).toBe('finished');
    const told = ofType(events, 'message').map(({ message }) => message);
    expect(told.some((message) => /takes part/.test(message))).toBe(true);
    const [, here] = /parts scored: here (\d+), /.exec(told.at(-1)!)!;
    // The rest was done by workers.
    expect(Number(here)).toBeLessThan(48);
    expect(told.some((message) => /differs|refused/.test(message))).toBe(false);
    const whole = ofType(events, 'cluster').at(-1)!;
    const { members, stepsPerSecond } = whole;
    expect(whole).toMatchObject({ step: 12, bytesPerStep: expect.any(Number) });
    // Every shard is somebody's, and the parts of the speed are the whole.
    expect(members.reduce((sum, { shards }) => sum + shards, 0)).toBe(48);
    expect(members.reduce((sum, each) => sum + each.stepsPerSecond, 0)).toBeCloseTo(stepsPerSecond, 6);
    expect(members.filter(({ here }) => here).map(({ bytesPerStep, shards }) => [bytesPerStep, shards])).toEqual([
      [0, Number(here)],
    ]);
    for (const { here: leader, tokensPerSecond, waitingShare, shards, bytesPerStep } of members) {
      expect(waitingShare).toBeGreaterThanOrEqual(0);
      expect(tokensPerSecond > 0).toBe(shards > 0);
      // A task and its answer are at most 1 KB at one query.
      if (!leader && configuration.queries === undefined)
        expect(bytesPerStep).toBeLessThanOrEqual((1024 * shards) / 12);
    }
  });

  test('a worker that leaves in the middle, and none at all', async () => {
    const alone = await train({}, false);
    const stop = new AbortController();
    const leaving = (async () => {
      for await (const event of engine.work({ url: server.url, models: [model] }, stop.signal)) {
        if (event.type === 'progress') stop.abort();
      }
    })();
    const { run } = await train({}, true, (event) =>
      event.type === 'step' && event.step === 1 ? sleep(1500) : undefined,
    );
    stop.abort();
    await leaving;
    expect((await journalOf(run)).records).toEqual((await journalOf(alone.run)).records);
  });

  test('the server is killed and comes back: no step is lost, the bits are the same', async () => {
    const alone = await train({}, false);
    const { run } = await withWorkers(1, () =>
      train({}, true, async (event) => {
        if (event.type !== 'step' || event.step % 4 !== 2) return;
        await server.stop('SIGKILL');
        void sleep(300).then(() => server.start());
      }),
    );
    expect((await journalOf(run)).records).toEqual((await journalOf(alone.run)).records);
  });

  test('what a lying worker sends is refused or scored again, and the worker named', async () => {
    const alone = await train({}, false);
    const connection = await connect({ servers: server.url });
    const js = jetstream(connection);
    let lies = 0;
    let stop = false;
    /** Takes tasks of a run and answers them wrongly, in one way after the other. */
    const lie = async (run: string) => {
      const sums = {
        ...{
          optionLoss: 1,
          optionExamples: 1,
          correct: 1,
          completionLoss: 0,
          completionTokens: 0,
          completionExamples: 0,
        },
        tokens: 1,
      };
      while (!stop && lies < 8) {
        const consumer = await js.consumers.get('subzero_tasks', run).catch(() => undefined);
        const message = await consumer?.next({ expires: 1000 }).catch(() => null);
        if (!message) continue;
        const task = decode('task', message.data) as Task;
        const worker = { name: 'liar', adapter: 'none', software: true };
        const answer = {
          worker,
          epoch: task.epoch,
          step: task.step,
          shard: task.shard,
          firstProbe: task.firstProbe,
          sums: [sums, sums],
          milliseconds: 1,
        };
        const wrong = [
          new TextEncoder().encode('{"worker":'),
          new Uint8Array(300_000),
          encode('answer', answer),
          encode('answer', { ...answer, sums: [sums] }),
          encode('answer', { ...answer, epoch: task.epoch + 1 }),
          encode('answer', {
            ...answer,
            sums: [
              { ...sums, tokens: 14, optionLoss: null },
              { ...sums, tokens: 14 },
            ],
          }),
        ];
        await connection.request(`subzero.answer.${run}`, wrong[lies++ % wrong.length]!).catch(() => {});
        // Says that the task is done, which nobody else would then get.
        message.ack();
      }
    };
    let lying: Promise<void> | undefined;
    const { run, events } = await train({ steps: 8 }, true, async (event) => {
      // Its wish for the next task is on its way.
      if (event.type === 'step') await sleep(200);
      if (event.type !== 'message' || lying) return;
      const name = /trains this as "([^"]+)"/.exec(event.message)?.[1];
      if (name) lying = lie(name);
    });
    stop = true;
    await lying;
    await connection.close();
    const [expected, actual] = [await journalOf(alone.run), await journalOf(run)];
    expect(lies).toBeGreaterThan(5);
    expect(actual.records).toEqual(expected.records.slice(0, 8));
    const told = ofType(events, 'message')
      .map(({ message }) => message)
      .join('\n');
    expect(told).toMatch(/worker liar is refused|sent what is no answer/);
  });

  test('a run is fetched from the cluster and goes on in another folder, to the same bits', async () => {
    const alone = await train({}, false);
    const run = join(temporaryFolder(), 'first');
    const request = { model, data: { file }, configuration: { ...quick, shards: 4 }, out: run, cluster: cluster() };
    const stop = new AbortController();
    for await (const event of engine.train(request, stop.signal)) {
      if (event.type === 'step' && event.step === 7) stop.abort();
    }
    const { run: name } = JSON.parse(readFileSync(join(run, 'cluster.json'), 'utf8')) as { run: string };
    rmSync(run, { recursive: true });
    const other = join(temporaryFolder(), 'second');
    const steps = await fetchRun(cluster(), name, other);
    expect(steps).toBe(7);
    await collect(engine.train({ resume: other, cluster: cluster() }));
    expect((await journalOf(other)).records).toEqual((await journalOf(alone.run)).records);
    expect((await clusterRuns(cluster())).find((each) => each.run === name)).toMatchObject({ step: 12, owner: null });
    await expect(fetchRun(cluster(), 'nothing', join(temporaryFolder(), 'x'))).rejects.toThrow(/has no run "nothing"/);
  });

  test('a folder that is behind the cluster is refused', async () => {
    const { run } = await train({ steps: 3 }, true);
    const file = join(run, 'journal.subzero');
    const { recordBytes } = await journalOf(run);
    truncateSync(file, statSync(file).size - recordBytes);
    await expect(collect(engine.train({ resume: run, cluster: cluster() }))).rejects.toThrow(
      /the cluster has 3 steps of the run ".*has 2; fetch them: subzero cluster fetch/,
    );
    expect((await journalOf(run)).records.length).toBe(2);
  });
});

test('without a server: one line that says what to do', async () => {
  const engine = await LocalEngine.open();
  const folder = join(temporaryFolder(), 'run');
  const request = { model: tinyModel(), data: { file: writeRows(optionRows()) }, configuration: quick, out: folder };
  await expect(collect(engine.train({ ...request, cluster: { url: 'nats://127.0.0.1:1' } }))).rejects.toThrow(
    /no NATS server answers at nats:\/\/127.0.0.1:1: .*cluster up/,
  );
  expect(existsSync(folder)).toBe(false);
  await engine.close();
  removeTemporary();
});
