/**
 * The GGUF files that make_gguf.py had llama.cpp's converter make, against what transformers computes from the same
 * checkpoints, with a line for each file.
 *
 *     node test/parity/gguf.ts FOLDER [PATTERN]
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SubzeroError } from '../../src/errors.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { Parity } from './checkpoint.ts';
import { ofPasses, tolerance } from './compare.ts';

const [folder = '', pattern = ''] = process.argv.slice(2);
const { cases } = JSON.parse(readFileSync(new URL('./parity.json', import.meta.url), 'utf8')) as Parity;
const gpu = await Gpu.open();
const counts = { agree: 0, refused: 0, differ: 0 };
for (const parity of cases) {
  const file = join(folder, `${parity.name}.gguf`);
  if (!parity.prompts || !new RegExp(pattern).test(parity.name) || !existsSync(file)) continue;
  try {
    const difference = await ofPasses(gpu, file, parity);
    const agrees = difference <= tolerance;
    counts[agrees ? 'agree' : 'differ']++;
    console.log(`${agrees ? 'agrees ' : 'DIFFERS'} ${difference.toExponential(1)}  ${parity.name}`);
  } catch (error) {
    if (!(error instanceof SubzeroError)) throw error;
    counts.refused++;
    console.log(`refused          ${parity.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(counts));
await gpu.close();
