/**
 * `bench peers`: the same work in other WebGPU libraries on the same adapter, interleaved in one run.
 *
 * @module
 */

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SubzeroError } from '../src/errors.ts';
import { median } from '../src/experiments/statistics.ts';
import { listAdapters } from '../src/gpu/device.ts';
import { short, table } from '../src/table.ts';
import type { Answer, Request } from './peers/child.ts';
import { operationsOf, tasks } from './peers/tasks.ts';

/** Modules in bench/peers, ours first. */
const peers = ['subzero', 'onnxruntime', 'tensorflow', 'jax'] as const;

/** Largest normalised mean squared error allowed to us; and to others, beyond which they compute something else. */
const tolerances = { ours: 1e-7, others: 1e-3 };
const ourPackage = 'subzero-webgpu';

export const usage = `npm run bench -- peers [options]    (first: npm install --prefix bench/peers)
  --only A,B           some of ${peers.join(', ')}
  --repeat N           timed rounds, every library once in each (default 5)
  --json FILE          write the figures`;

interface OpenPeer {
  name: string;
  package: string;
  child: ChildProcess;
}

/** Exit code 1 when a library's result is wrong. */
export async function benchPeers(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { only: { type: 'string' }, repeat: { type: 'string', default: '5' }, json: { type: 'string' } },
  });
  const folder = fileURLToPath(new URL('./peers/', import.meta.url));
  const wanted = values.only?.split(',') ?? [...peers];
  const unknown = wanted.find((name) => !peers.some((peer) => peer === name));
  if (unknown !== undefined) {
    throw new SubzeroError('invalid_argument', `--only ${unknown} is not one of ${peers.join(', ')}`);
  }
  if (!existsSync(`${folder}node_modules`)) {
    throw new SubzeroError(
      'not_found',
      'the other libraries are not installed; run: npm install --prefix bench/peers --onnxruntime-node-install=skip',
    );
  }
  const versions = JSON.parse(readFileSync(`${folder}package.json`, 'utf8')).dependencies as Record<string, string>;
  const [adapter = 'unknown adapter'] = await listAdapters();
  const opened: OpenPeer[] = [];
  const results: { task: string; package: string; milliseconds: number[]; gflops: number; error: number }[] = [];
  const failures: string[] = [];
  try {
    for (const name of wanted) {
      const child = fork(`${folder}child.ts`, [name], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
      const answer = await next(child);
      if (answer.type === 'open') opened.push({ name, package: answer.package, child });
      else {
        failures.push(`${name}: ${messageOf(answer)}`);
        child.kill();
      }
    }
    for (const [taskName, task] of Object.entries(tasks)) {
      const ready: { peer: OpenPeer; error: number; milliseconds: number[] }[] = [];
      for (const peer of opened) {
        const answer = await ask(peer.child, { type: 'prepare', task });
        if (answer.type === 'prepared') ready.push({ peer, error: answer.error, milliseconds: [] });
        else failures.push(`${peer.name}, ${taskName}: ${messageOf(answer)}`);
      }
      for (let round = 0; round < Number(values.repeat); round++) {
        console.error(`${taskName}: round ${round + 1} of ${values.repeat}`);
        for (const { peer, milliseconds } of ready) {
          const answer = await ask(peer.child, { type: 'run' });
          if (answer.type === 'ran') milliseconds.push(answer.milliseconds);
          else failures.push(`${peer.name}, ${taskName}: ${messageOf(answer)}`);
        }
      }
      for (const { peer, error, milliseconds } of ready) {
        const gflops = operationsOf(task) / median(milliseconds) / 1e6;
        results.push({ task: taskName, package: peer.package, milliseconds, gflops, error });
      }
    }
  } finally {
    for (const { child } of opened) child.kill();
  }
  const rows = results.map((result) => {
    const ours = results.find((other) => other.task === result.task && other.package === ourPackage);
    // Each round has a ratio of its own: what disturbs a round disturbs all of it.
    const ratios = ours ? result.milliseconds.map((value, round) => value / ours.milliseconds[round]!) : [];
    return [
      `${result.task}: ${result.package} ${versions[result.package] ?? ''}`.trimEnd(),
      short(median(result.milliseconds)),
      short(result.gflops),
      ratios.length > 0 ? short(median(ratios)) : '-',
      result.error.toExponential(1),
    ];
  });
  console.log(adapter);
  console.log(table(['task and library', 'wall ms', 'GFLOP/s', 'time / ours', 'error'], rows));
  for (const failure of failures) console.log(`failed: ${failure}`);
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ adapter, versions, results, failures }, null, 2)}\n`);
  const allowed = (name: string): number => (name === ourPackage ? tolerances.ours : tolerances.others);
  return results.every((result) => result.error <= allowed(result.package)) ? 0 : 1;
}

const messageOf = (answer: Answer): string => (answer.type === 'failed' ? answer.message : `answered "${answer.type}"`);

function ask(child: ChildProcess, request: Request): Promise<Answer> {
  const answered = next(child);
  child.send(request);
  return answered;
}

/** The next message of a child; its end is one too. */
function next(child: ChildProcess): Promise<Answer> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve({ type: 'failed', message: 'its process has ended' });
      return;
    }
    const ended = (code: number | null, signal: string | null): void => {
      child.off('message', answered);
      resolve({ type: 'failed', message: `its process ended with ${signal ?? `exit code ${code}`}` });
    };
    const answered = (message: unknown): void => {
      child.off('exit', ended);
      resolve(message as Answer);
    };
    child.once('message', answered);
    child.once('exit', ended);
  });
}
