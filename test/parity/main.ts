/**
 * `npm run parity`: makes the reference of the parity suite anew with the transformers that is installed, and compares.
 *
 * PYTHON names the interpreter; exits with 1 on a disagreement, with 2 where the reference cannot be made. With
 * `--stored` the reference is parity.json as it lies there, which needs no Python; with `--types` the table has a line
 * a model type, as docs/models.md has it.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { Parity } from './checkpoint.ts';
import { compareCase, table, typeTable, type Verdict } from './compare.ts';

const python = process.env.PYTHON || 'python3';
const packages = ['torch', 'transformers', 'safetensors', 'numpy'];

process.exitCode = await main();

async function main(): Promise<number> {
  if (process.argv.includes('--stored')) {
    const folder = mkdtempSync(join(tmpdir(), 'subzero-parity-'));
    try {
      const stored = readFileSync(new URL('parity.json', import.meta.url), 'utf8');
      return await compare(folder, JSON.parse(stored) as Parity);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const check = spawnSync(python, ['-c', `import ${packages.join(', ')}`], { encoding: 'utf8' });
  if (check.status !== 0) {
    const reason = check.error?.message ?? check.stderr.trim().split('\n').at(-1);
    process.stderr.write(
      `The reference needs Python with ${packages.join(', ')}; "${python}" says: ${reason}\n` +
        `Install them (${python} -m pip install ${packages.join(' ')}), or name another interpreter: PYTHON=… npm ` +
        `run parity\n`,
    );
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'subzero-parity-'));
  try {
    const file = join(folder, 'parity.json');
    const script = fileURLToPath(new URL('make_parity.py', import.meta.url));
    // Progress bars and warnings of transformers go into the file, as far as they matter.
    const made = spawnSync(python, [script, file], { encoding: 'utf8', maxBuffer: 2 ** 28 });
    if (made.status !== 0) {
      process.stderr.write(`${made.stderr}\nThe reference could not be made.\n`);
      return 2;
    }
    process.stdout.write(made.stdout);
    return await compare(folder, JSON.parse(readFileSync(file, 'utf8')) as Parity);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function compare(folder: string, { cases, transformers, torch }: Parity): Promise<number> {
  const gpu = await Gpu.open();
  const engine = new LocalEngine(gpu);
  const verdicts: Verdict[] = [];
  for (const [index, parity] of cases.entries()) {
    verdicts.push(await compareCase(gpu, engine, join(folder, String(index)), parity));
  }
  await engine.close();
  const form = process.argv.includes('--types') ? typeTable : table;
  process.stdout.write(`${form(verdicts, cases)}\n`);
  const unlike = verdicts.flatMap(({ agrees }, index) => (agrees ? [] : [cases[index]!]));
  const known = unlike.filter(({ pending }) => pending !== undefined).length;
  const wrong = unlike.length - known;
  process.stdout.write(
    `transformers ${transformers}, torch ${torch}: ${cases.length} cases, ${wrong} disagreements` +
      `${known > 0 ? ` and ${known} known ones` : ''}\n`,
  );
  return wrong === 0 ? 0 : 1;
}
