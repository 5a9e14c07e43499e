/**
 * A run of a cluster through everything that may happen to it. By default some of each; at the counts that were once
 * agreed on: COORDINATOR_KILLS=50 WORKER_KILLS=200 SERVER_RESTARTS=50 FULL_DISKS=5 npx vitest run
 * --config vitest.long.config.ts test/long/cluster-kill.test.ts
 *
 * @module
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { headers } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { Bus } from '../../src/cluster/bus.ts';
import { NatsServer, natsServerProgram, withRoomFor } from '../cluster/nats.ts';
import { randomNumbers, trainAndKill } from '../train/killing.ts';
import { optionRows, recordsOf, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

const launcher = fileURLToPath(new URL('../../bin/subzero.mjs', import.meta.url));
const program = natsServerProgram();

const seed = Number(process.env.SEED ?? Date.now() % 1e6);

/** Whether a stream that is to go was not there. */
const isGone = (error: { code?: unknown }): boolean => error.code === 10059;

/** How often each must have happened before the run may end. */
const wanted = {
  coordinatorKills: Number(process.env.COORDINATOR_KILLS ?? 10),
  workerKills: Number(process.env.WORKER_KILLS ?? 40),
  serverRestarts: Number(process.env.SERVER_RESTARTS ?? 10),
  fullDisks: Number(process.env.FULL_DISKS ?? 2),
};

/** What the server may keep: enough for the run, and soon full. */
const diskBytes = 32 * 2 ** 20;

/** JetStream's words for a disk, an account or a stream that is full. */
const full: ReadonlySet<unknown> = new Set([10023, 10028, 10047, 10077]);

test.skipIf(program === undefined)(
  `coordinator, workers and server are killed, tasks lost, answers repeated (SEED=${seed}): the bits of one process`,
  async () => {
    const server = await NatsServer.start(program!, temporaryFolder(), withRoomFor(diskBytes));
    const model = tinyModel();
    const file = writeRows(optionRows());
    const settings = ['--model', model, '--data', file, '--batch-size', '4', '--shards', '2', '--query-shards', '2'];
    const method = ['--learning-rate', '1e-4', '--rank', '4', '--refresh', '25', '--seed', '3'];
    const random = randomNumbers(seed);
    // Small distances, so that workers and coordinators that come back begin with snapshots.
    const cluster = ['--cluster', server.url, '--deadline', '1', '--snapshot-every', '20'];
    const shared = join(temporaryFolder(), 'shared');
    const seen = {
      ...{ coordinatorKills: 0, workerKills: 0, serverRestarts: 0, fullDisks: 0 },
      ...{ tasksLost: 0, repeats: 0, stalls: 0, leftForRoom: 0 },
    };
    const has = (name: keyof typeof wanted): boolean => seen[name] >= wanted[name];
    const names = Object.keys(wanted) as (keyof typeof wanted)[];
    const enough = (): boolean => names.every(has);
    const log = setInterval(() => console.log(new Date().toISOString(), JSON.stringify(seen)), 60_000);

    const workers = [0, 1, 2].map(async () => {
      while (!enough()) {
        const worker: ChildProcess = spawn(
          process.execPath,
          [launcher, 'worker', '--model', model, '--cluster', server.url, '--json'],
          { stdio: ['ignore', 'pipe', 'ignore'] },
        );
        const ended = once(worker, 'exit');
        const joined = new Promise<void>((resolve) => {
          worker.stdout!.on('data', (text) => String(text).includes('"joined"') && resolve());
        });
        // Some die before they have joined, the others while they take part.
        if (random() < 0.8) await Promise.race([joined, sleep(20_000)]);
        await sleep(6000 * random());
        // Those that have died often enough leave the machine to the others.
        while (has('workerKills') && !enough()) await sleep(500);
        if (random() < 0.2) {
          // One that is as slow as can be.
          seen.stalls++;
          worker.kill('SIGSTOP');
          await sleep(4000 * random());
          worker.kill('SIGCONT');
          await sleep(1000 * random());
        }
        worker.kill('SIGKILL');
        await ended;
        seen.workerKills++;
      }
    });
    const restarts = (async () => {
      while (!has('serverRestarts')) {
        await sleep(10_000 + 30_000 * random());
        await server.stop(random() < 0.8 ? 'SIGKILL' : 'SIGTERM');
        await sleep(1000 * random());
        await server.start();
        seen.serverRestarts++;
      }
    })();
    // Takes tasks and says that they are done, and sends all answers once more, some of them much later.
    const reaching = { servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 250 };
    const connection = await connect(reaching);
    const again = headers();
    again.set('Repeated', 'yes');
    connection.subscribe('subzero.answer.*', {
      callback: (_, message) => {
        if (message.headers?.has('Repeated')) return;
        setTimeout(() => {
          if (connection.isClosed()) return;
          seen.repeats++;
          connection.publish(message.subject, message.data, { headers: again });
        }, 1000 * random());
      },
    });
    // Fills the server's disk for some seconds, with whatever else happens meanwhile.
    const fills = (async () => {
      const manager = await jetstreamManager(connection);
      const js = jetstream(connection);
      while (!has('fullDisks')) {
        await sleep(15_000 + 30_000 * random());
        try {
          await manager.streams.add({ name: 'filler', subjects: ['filler'] });
          let size = 100_000;
          while (size >= 10) {
            const error = await js.publish('filler', new Uint8Array(size)).then(
              () => undefined,
              (reason: unknown) => reason,
            );
            if (error === undefined) continue;
            // The smallest pieces fill what the larger ones leave.
            if (!full.has((error as { code?: unknown }).code)) throw error;
            size /= 10;
          }
          seen.fullDisks++;
          await sleep(3000 + 5000 * random());
        } catch {
          // The server went away meanwhile.
        }
        while (!(await manager.streams.delete('filler').catch(isGone))) await sleep(250);
      }
    })();
    const losses = (async () => {
      const bus = await Bus.connect({ url: server.url }, 'thief');
      while (!enough()) {
        await sleep(5000 + 10_000 * random());
        const nameFile = join(shared, 'cluster.json');
        if (!existsSync(nameFile)) continue;
        const feed = bus.tasks((JSON.parse(readFileSync(nameFile, 'utf8')) as { run: string }).run, 1);
        const taken = await feed.next(3000);
        taken?.done();
        if (taken) seen.tasksLost++;
        feed.close();
      }
      await bus.close();
    })();

    const journal = join(shared, 'journal.subzero');
    const start = [...settings, ...method, '--steps', '1000000', '--out', shared, ...cluster];
    while (!enough()) {
      const begun = existsSync(journal);
      const afterSteps = Math.floor(random() * 20);
      const moment = { afterSteps, milliseconds: random() * (afterSteps === 0 ? 3000 : 50) };
      const ending = await trainAndKill(begun ? ['--resume', shared, ...cluster] : start, moment);
      // One that finds no server in time says so, and is started again.
      if (ending.killed) seen.coordinatorKills++;
      else if (/the NATS server has no room/.test(ending.errors)) seen.leftForRoom++;
      else if (ending.announced > 0 || !/no NATS server answers|gives no JetStream/.test(ending.errors)) {
        throw new Error(`the process ended with ${ending.code}: ${ending.errors}`);
      }
      const kept = existsSync(journal) ? (await recordsOf(shared)).length : 0;
      expect(kept, 'steps in the journal, at least those announced').toBeGreaterThanOrEqual(ending.announced);
    }
    await Promise.all([...workers, restarts, fills, losses]);
    const steps = String((await recordsOf(shared)).length + 20);
    const last = await trainAndKill(['--resume', shared, '--steps', steps, ...cluster], undefined);
    expect(last.code, last.errors).toBe(0);
    clearInterval(log);
    await connection.close();
    await server.stop();
    const alone = join(temporaryFolder(), 'alone');
    const whole = await trainAndKill([...settings, ...method, '--steps', steps, '--out', alone], undefined);
    expect(whole.code, whole.errors).toBe(0);
    console.log(`${steps} steps through ${JSON.stringify(seen)}`);
    expect(await recordsOf(shared)).toEqual(await recordsOf(alone));
    removeTemporary();
  },
  4 * 3_600_000,
);
