/**
 * `bench late-join`: how long a worker takes to take part in a run that is many steps old, with the real server,
 * coordinator and worker: from a snapshot, and by a replay of all steps.
 *
 * The steps are not trained: their numbers are drawn, which costs a replay the same.
 *
 * @module
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Random } from '../src/bench/random.ts';
import { Bus } from '../src/cluster/bus.ts';
import { decode } from '../src/cluster/protocol.ts';
import { findSnapshot, removeSnapshots } from '../src/cluster/snapshot.ts';
import { LocalEngine } from '../src/engine/local.ts';
import { SubzeroError } from '../src/errors.ts';
import { createJournal, openJournal } from '../src/zo/journal.ts';
import { NatsServer, natsServerProgram } from '../test/cluster/nats.ts';
import { machine } from './machine.ts';

export const usage = `npm run bench -- late-join [options]: a worker that joins an old run
  --model DIR          default examples/reviews-3m
  --data DIR           of SST-2, default examples/sst2
  --steps N            that the run is old (default 20000)`;

const launcher = fileURLToPath(new URL('../bin/subzero.mjs', import.meta.url));

export async function benchLateJoin(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string', default: 'examples/reviews-3m' },
      data: { type: 'string', default: 'examples/sst2' },
      steps: { type: 'string', default: '20000' },
    },
  });
  const steps = Number(values.steps);
  const program = natsServerProgram();
  if (program === undefined) throw new SubzeroError('not_found', 'bench late-join needs a nats-server');
  const folder = mkdtempSync(join(tmpdir(), 'subzero-bench-'));
  const server = await NatsServer.start(program, folder);
  const engine = await LocalEngine.open();
  const load = () => `load ${loadavg()[0]!.toFixed(1)}`;
  try {
    const out = join(folder, 'run');
    const configuration = { steps: steps + 1000, batchSize: 8, shards: 2, learningRate: 1e-6 };
    const stop = new AbortController();
    const request = { model: values.model, data: { task: 'sst2', directory: values.data }, configuration, out };
    for await (const event of engine.train(request, stop.signal)) if (event.type === 'step') stop.abort();
    await drawSteps(out, steps);
    const pause = new AbortController();
    const begun = performance.now();
    for await (const event of engine.train({ resume: out, cluster: { url: server.url } }, pause.signal)) {
      if (event.type === 'start') {
        console.log(`${machine('the adapter of this machine')}; ${load()}`);
        console.log(`the coordinator has replayed ${steps} steps after ${seconds(begun)} s`);
      }
      if (event.type !== 'step') continue;
      const bus = await Bus.connect({ url: server.url }, 'bench');
      const { run, baseFingerprint } = decode('announcement', (await bus.leases())[0]!);
      await timeTransport(bus, run, baseFingerprint);
      console.log(`joined ${await joinOnce(server.url, values.model)}; ${load()}`);
      await removeSnapshots(bus, run);
      console.log(`joined ${await joinOnce(server.url, values.model)}; ${load()}`);
      await bus.close();
      pause.abort();
    }
  } finally {
    await engine.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return 0;
}

const seconds = (begun: number): string => ((performance.now() - begun) / 1000).toFixed(2);

/** Makes a journal old. */
async function drawSteps(run: string, steps: number): Promise<void> {
  const file = join(run, 'journal.subzero');
  const { header } = await openJournal(file);
  rmSync(file);
  const writer = await createJournal(file, header, { sync: 'interval' });
  const random = new Random(1, 'late join');
  for (let step = 1; step <= steps; step++) {
    const projectedGradients = Array.from({ length: header.configuration.queries }, () => Math.fround(random.normal()));
    await writer.append({ step, learningRate: Math.fround(1e-6), projectedGradients, loss: Math.fround(0.6) });
  }
  await writer.close();
}

/** From the list of files to checked bytes in memory. */
async function timeTransport(bus: Bus, run: string, baseFingerprint: string): Promise<void> {
  for (;;) {
    const begun = performance.now();
    const snapshot = await findSnapshot(bus, { run, baseFingerprint }, console.log);
    if (!snapshot) {
      await sleep(100);
      continue;
    }
    const bytes = snapshot.state.buffers.reduce((sum, each) => sum + each.bytes.length, 0);
    console.log(`a snapshot of step ${snapshot.step}, ${(bytes / 1e6).toFixed(1)} MB: read in ${seconds(begun)} s`);
    return;
  }
}

/** Starts a worker, and ends it when it has joined. */
async function joinOnce(url: string, model: string): Promise<string> {
  const begun = performance.now();
  const child = spawn(process.execPath, [launcher, 'worker', '--cluster', url, '--model', model, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = 'never';
  for await (const line of createInterface(child.stdout)) {
    const event = JSON.parse(line) as { type: string; snapshot: number | null; seconds: number; step: number };
    if (event.type !== 'joined') continue;
    const from = event.snapshot === null ? 'by replay' : `from the snapshot at step ${event.snapshot}`;
    told =
      `at step ${event.step} ${from}: ${event.seconds.toFixed(1)} s, ${seconds(begun)} s with the start of the ` +
      `process`;
    child.kill('SIGKILL');
  }
  return told;
}
