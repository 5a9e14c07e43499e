/**
 * `npm run parity`: makes the checkpoints' expectations anew with the transformers that is installed, and prints how far the
 * project is from each. Exits with 1 where one disagrees, with 2 where Python or a package is missing.
 *
 *     npm run parity [-- --only TEXT]
 *
 * PYTHON names the interpreter, `python3` by default.
 */

import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { ParityFile } from './checkpoint.ts';
import { agrees, type Comparison, compareCase, tolerance } from './compare.ts';

const python = process.env.PYTHON ?? 'python3';
const script = fileURLToPath(new URL('make_checkpoints.py', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'subzero-parity-'));
try {
  process.exitCode = await main();
} finally {
  await rm(folder, { recursive: true });
}

async function main(): Promise<number> {
  const packages = spawnSync(python, ['-c', 'import numpy, safetensors.torch, torch, transformers']);
  if (packages.error || packages.status !== 0) {
    const why = packages.error?.message ?? String(packages.stderr).trim().split('\n').at(-1);
    process.stderr.write(
      `parity needs Python with torch, transformers, safetensors and numpy; ${python} says: ${why}\n` +
        'python3 -m venv venv && venv/bin/pip install torch==2.13.0 transformers==5.24.0 safetensors numpy\n' +
        'PYTHON=venv/bin/python npm run parity\n',
    );
    return 2;
  }
  const out = join(folder, 'parity.json');
  const made = spawnSync(python, [script, ...process.argv.slice(2), '--out', out], { stdio: 'inherit' });
  if (made.status !== 0) return 2;
  const file = JSON.parse(await readFile(out, 'utf8')) as ParityFile;
  process.stdout.write(
    `transformers ${file.transformers}, torch ${file.torch}; at most ${tolerance} may lie between\n`,
  );
  const gpu = await Gpu.open();
  let disagreements = 0;
  for (const parityCase of file.cases) {
    const verdict = await compareCase(gpu, parityCase, file, join(folder, parityCase.name)).catch(
      (error: Error) => error.message,
    );
    const agreed = typeof verdict !== 'string' && agrees(verdict);
    if (!agreed) disagreements++;
    process.stdout.write(`${parityCase.name.padEnd(36)} ${line(verdict)}${agreed ? '' : '   DISAGREES'}\n`);
  }
  gpu.close();
  process.stdout.write(`${file.cases.length} cases, ${disagreements} disagreements\n`);
  return disagreements > 0 ? 1 : 0;
}

function line(verdict: Comparison | string): string {
  if (typeof verdict === 'string') return verdict;
  const { difference, greedy } = verdict;
  const text = typeof greedy === 'number' ? `greedy tokens part at ${greedy}` : `greedy ${greedy}`;
  return `${difference.toExponential(1).padStart(8)}   ${text}`;
}
