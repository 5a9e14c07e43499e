/**
 * LoRA beside the layers of every supported type, as PEFT has it (test/reference/peft_families.py): which modules its
 * usual targets and "all-linear" find, and the logits of the model with a pair beside each of them.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { supportedArchitectures } from '../../src/model/configuration.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import type { Model } from '../../src/model/model.ts';
import { f32ToBytes, writeSafetensors } from '../../src/safetensors/index.ts';
import { AppliedAdapter } from '../../src/tuning/applied-adapter.ts';
import { loraAdapter } from '../../src/tuning/lora.ts';
import { readPeftLora } from '../../src/tuning/peft-lora.ts';
import {
  type Parity,
  type ParityCase,
  projectionWeights,
  promptOf,
  shapesOf,
  textConfig,
  valuesOf,
  writeCheckpoint,
} from '../parity/checkpoint.ts';
import { tolerance } from '../parity/compare.ts';

interface Family {
  case: string;
  /** `NAME ROWSxCOLUMNS`, with a star for the numbers of layers. */
  usual: string[];
  all: string[];
  /** "all-linear" would find others too, so that the targets are the names of `all`. */
  named: boolean;
  projections: number[];
}

const golden = new URL('../fixtures/golden/peft-families.json', import.meta.url);
const { rank, alpha, length, families } = JSON.parse(readFileSync(golden, 'utf8')) as {
  rank: number;
  alpha: number;
  length: number;
  families: Record<string, Family>;
};
const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;

let gpu: Gpu;
const folder = mkdtempSync(join(tmpdir(), 'subzero-peft-families-'));
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => {
  gpu.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Writes an adapter as PEFT does, with a pair beside each of the modules. */
async function writeAdapter(
  directory: string,
  modules: readonly [string, number[]][],
  targets: unknown,
): Promise<void> {
  const tensors = modules.flatMap(([module, [rows, columns]]) =>
    Object.entries({ lora_A: [rank, columns!], lora_B: [rows!, rank] }).map(([part, shape]) => {
      const name = `${module}.${part}.weight`;
      const bytes = f32ToBytes('F32', valuesOf(name, shape));
      return { name: `base_model.model.${name}`, dtype: 'F32' as const, shape, data: () => [bytes] };
    }),
  );
  await writeSafetensors(join(directory, 'adapter_model.safetensors'), tensors, { format: 'pt' });
  const config = { peft_type: 'LORA', task_type: null, r: rank, lora_alpha: alpha, target_modules: targets };
  writeFileSync(join(directory, 'adapter_config.json'), JSON.stringify(config));
}

/** The names of the layers that a configuration of ours finds. */
function found(model: Model, loraTargets: string[]): string[] {
  const { lora } = loraAdapter(model, { loraRank: rank, loraAlpha: alpha, loraTargets, seed: 0 });
  return [...lora!.keys()].map((name) => name.replace(/\.weight$/, '')).sort();
}

test('every type is there', () => {
  expect(
    Object.keys(families)
      .filter((name) => !name.includes(':'))
      .sort(),
  ).toEqual([...supportedArchitectures].sort());
});

test.each(Object.entries(families))('%s', async (type, family) => {
  const parity = cases.find(({ name }) => name === family.case)!;
  const directory = join(folder, type);
  await writeCheckpoint(directory, parity);
  const layers = (lines: string[]) => shapesOf({ config: parity.config, tensors: lines } as ParityCase);
  const [usual, all] = [layers(family.usual), layers(family.all)];
  const ends = [...new Set(usual.map(([name]) => name.slice(name.lastIndexOf('.') + 1)))];
  const model = await loadModel(gpu, directory, { storage: 'f32' });
  try {
    expect(found(model, ends)).toEqual(usual.map(([name]) => name).sort());

    await writeAdapter(directory, all, family.named ? all.map(([name]) => name) : 'all-linear');
    const adapter = new AppliedAdapter(model, await readPeftLora(directory, model.decoder));
    const { vocab_size: vocabulary } = textConfig(parity);
    const weights = projectionWeights(vocabulary);
    const ids = promptOf(length, { ...parity.config, vocab_size: vocabulary });
    const rows = await sequenceLogits(model, ids, adapter.probes);
    for (const [row, logits] of rows.entries()) {
      const highest = Math.max(...logits);
      const total = highest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
      const projection = logits.reduce((sum, logit, id) => sum + (logit - total) * weights[id]!, 0);
      expect(Math.abs(projection - family.projections[row]!), `token ${row}`).toBeLessThan(tolerance);
    }
    adapter.destroy();
  } finally {
    model.destroy();
  }
});
