/**
 * `bench all`: what one wants to know of a new adapter, each benchmark in a process of its own, figures and output in
 * one folder.
 *
 * @module
 */

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SubzeroError } from '../src/errors.ts';
import { Gpu } from '../src/gpu/gpu.ts';

export const usage = `npm run bench -- all --out DIR [options]
  --out DIR            a folder for the output (NAME.log) and the figures (NAME.json) of each, and a summary
  --only LIST          some of them, names with a comma between
  --limit MINUTES      most time of one (default 20)`;

interface Entry {
  name: string;
  /** Arguments of the benchmark, or of the command line where `subzero` is set. */
  args: readonly string[];
  subzero?: boolean;
  /** Only where there is a GPU: a software adapter would take hours. */
  hardware?: boolean;
  json?: boolean;
}

const step = (shape: string, ...more: string[]): Entry => ({
  name: `step-${shape}`,
  args: ['step', '--shape', shape, ...more],
  hardware: shape !== 'opt-1024x4',
  json: true,
});

/** In the order of their worth, so that a short loan of a machine gives the most. */
const entries: readonly Entry[] = [
  { name: 'doctor', args: ['doctor'], subzero: true },
  { name: 'kernels', args: ['kernels'], json: true },
  step('opt-1024x4'),
  step('opt-1.3b', '--repeat', '10'),
  { ...step('opt-1.3b', '--repeat', '10', '--arithmetic', 'half'), name: 'step-opt-1.3b-half' },
  step('opt-13b', '--repeat', '5'),
  { name: 'serve', args: ['serve'], json: true },
  { name: 'fidelity', args: ['fidelity'], json: true },
  { name: 'replay', args: ['replay'] },
  { name: 'replay-mezo', args: ['replay', '--optimizer', 'mezo'] },
  { name: 'sst2', args: ['sst2', '--optimizers', 'all'], hardware: true, json: true },
];

/** Exit code 1 when one of them failed. */
export async function benchAll(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { out: { type: 'string' }, only: { type: 'string' }, limit: { type: 'string', default: '20' } },
  });
  if (values.out === undefined) {
    throw new SubzeroError('invalid_argument', 'bench all needs --out DIR, a folder for the figures');
  }
  const wanted = values.only?.split(',');
  const unknown = wanted?.find((name) => !entries.some((entry) => entry.name === name));
  if (unknown !== undefined) {
    const names = entries.map(({ name }) => name).join(', ');
    throw new SubzeroError('invalid_argument', `--only ${unknown} is not one of ${names}`);
  }
  const gpu = await Gpu.open();
  const { adapter } = gpu;
  gpu.close();
  mkdirSync(values.out, { recursive: true });
  const summary: { name: string; exitCode: number; seconds: number }[] = [];
  for (const entry of entries) {
    if (wanted ? !wanted.includes(entry.name) : entry.hardware && adapter.software) continue;
    process.stderr.write(`${entry.name} …`);
    const started = performance.now();
    const exitCode = await run(entry, values.out, Number(values.limit) * 60_000);
    const seconds = (performance.now() - started) / 1000;
    process.stderr.write(` ${seconds.toFixed(0)} s${exitCode === 0 ? '' : `, exit code ${exitCode}`}\n`);
    summary.push({ name: entry.name, exitCode, seconds });
    writeFileSync(join(values.out, 'summary.json'), `${JSON.stringify({ adapter, summary }, null, 2)}\n`);
  }
  console.log(`${adapter.description || adapter.device}: ${summary.length} benchmarks in ${values.out}`);
  return summary.every(({ exitCode }) => exitCode === 0) ? 0 : 1;
}

function run({ name, args, subzero, json }: Entry, out: string, timeout: number): Promise<number> {
  const program = fileURLToPath(new URL(subzero ? '../bin/subzero.mjs' : './main.ts', import.meta.url));
  const figures = json ? ['--json', join(out, `${name}.json`)] : [];
  return new Promise((resolve, reject) => {
    const log = createWriteStream(join(out, `${name}.log`));
    const child = spawn(process.execPath, [program, ...args, ...figures], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout,
    });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.on('error', reject);
    child.on('close', (code) => log.end(() => resolve(code ?? 1)));
  });
}
