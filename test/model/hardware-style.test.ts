import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { Arithmetic } from '../../src/gpu/device.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import type { Parity } from '../parity/checkpoint.ts';
import { compareCase } from '../parity/compare.ts';

// The kernel variants that a GPU would get, on whatever adapter runs the tests; of half arithmetic there is something
// to see where it has matrix units.
const gpus = new Map<Arithmetic, Gpu>();
beforeAll(async () => {
  for (const arithmetic of ['exact', 'half'] as const)
    gpus.set(arithmetic, await Gpu.open({ kernelStyle: 'hardware', arithmetic }));
});
afterAll(() => {
  for (const gpu of gpus.values()) gpu.close();
});

test.each([
  ['llama-tiny', 'exact', 0, 2e-5],
  ['llama-tiny', 'exact', 3, 2e-5],
  ['llama-tiny', 'half', 0, 2e-2],
  ['qwen3-odd-tiny', 'exact', 0, 2e-5],
  ['opt-odd-tiny', 'exact', 0, 2e-5],
] as const)(
  'logits of %s agree with transformers with the kernel variants for GPUs, %s, sequence %i',
  async (name, arithmetic, index, tolerance) => {
    const directory = fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url));
    const reference = JSON.parse(readFileSync(`${directory}/logits.json`, 'utf8')) as {
      ids: number[][];
      last_logits: number[][];
    };
    const model = await loadModel(gpus.get(arithmetic)!, directory);
    const logits = (await sequenceLogits(model, reference.ids[index]!)).at(-1)!;
    for (const [token, expected] of reference.last_logits[index]!.entries()) {
      expect(Math.abs(logits[token]! - expected)).toBeLessThan(tolerance * (1 + Math.abs(expected)));
    }
    model.destroy();
  },
);

test.each([
  'gemma4_text: inputs, shared keys, wide',
  'gemma4_unified_text: heads of 512',
  // A prompt goes in chunks, and the tokens after it one by one.
  'qwen3_5_text: nothing but sizes',
])('log-probabilities and greedy tokens agree with transformers with them: %s', async (name) => {
  const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;
  const folder = mkdtempSync(join(tmpdir(), 'subzero-hardware-style-'));
  const gpu = gpus.get('exact')!;
  const engine = new LocalEngine(gpu);
  const verdict = await compareCase(gpu, engine, join(folder, 'model'), cases.find((each) => each.name === name)!);
  expect(verdict).toMatchObject({ agrees: true });
  rmSync(folder, { recursive: true, force: true });
});
