/** Adapters with random tensors against the logits that PEFT computes with them (test/reference/peft_logits.py). */

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { bytesToF32, openSafetensors } from '../../src/safetensors/index.ts';
import { resolveConfiguration, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { allocateState, layOutState } from '../../src/tensor/state.ts';
import { type AdapterTensor, adapterEntries } from '../../src/tuning/adapter.ts';
import { prepareTuning } from '../../src/tuning/tuning.ts';
import { relativeError } from '../support/zo/compare.ts';
import { modelDirectory, readFixture } from '../support/zo/golden.ts';

interface Fixture {
  base: string;
  settings: { r?: number; lora_alpha?: number; target_modules?: string[]; num_virtual_tokens?: number };
  ids: number[][];
  last_logits: number[][];
}

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

/** The tensors of an adapter file, by the names that PEFT gives them. */
async function storedTensors(name: string): Promise<Map<string, Float32Array>> {
  const file = new URL(`../fixtures/peft/${name}/adapter_model.safetensors`, import.meta.url);
  const source = await openSafetensors(fileURLToPath(file));
  const result = new Map<string, Float32Array>();
  for (const [tensor, { dtype }] of source.tensors) result.set(tensor, bytesToF32(dtype, await source.read(tensor)));
  await source.close();
  return result;
}

const schemes: Record<string, (settings: Fixture['settings']) => Partial<TrainConfiguration>> = {
  lora: ({ r, lora_alpha: loraAlpha, target_modules: loraTargets }) => {
    return { scheme: 'lora', loraRank: r!, loraAlpha: loraAlpha!, loraTargets: loraTargets! };
  },
  prompt: ({ num_virtual_tokens: virtualTokens }) => ({ scheme: 'prompt', virtualTokens: virtualTokens! }),
  prefix: ({ num_virtual_tokens: virtualTokens }) => ({ scheme: 'prefix', virtualTokens: virtualTokens! }),
};

/** The values of our tensors out of those of PEFT. */
const valuesOf: Record<string, (tensor: AdapterTensor, stored: ReadonlyMap<string, Float32Array>) => Float32Array> = {
  lora: ({ name }, stored) => stored.get(`base_model.model.${name}`)!,
  prompt: ({ name }, stored) => stored.get(name)!,
  // One row for each token: keys, then values, of layer after layer.
  prefix: ({ name, shape: [tokens, width] }, stored) => {
    const rows = stored.get('prompt_embeddings')!;
    const [, layer, kind] = name.split('.');
    const first = (2 * Number(layer) + (kind === 'keys' ? 0 : 1)) * width;
    const rowWidth = rows.length / tokens;
    return Float32Array.from(
      { length: tokens * width },
      (_, index) => rows[Math.floor(index / width) * rowWidth + first + (index % width)]!,
    );
  },
};

test.each([
  ...['lora-llama', 'lora-opt', 'prompt-llama', 'prompt-opt'],
  ...['lora-gemma3', 'prompt-gemma3', 'lora-granite', 'prompt-granite'],
  ...['prefix-llama', 'prefix-opt', 'prefix-qwen2'],
  ...['lora-phi3', 'lora-gpt2', 'lora-gpt-neox', 'prompt-phi3', 'prefix-gpt2', 'prefix-gpt-neox'],
])('%s', async (name) => {
  const { base, settings, ids, last_logits: expected } = readFixture<Fixture>(`peft/${name}/logits.json`);
  const stored = await storedTensors(name);
  const kind = name.slice(0, name.indexOf('-'));
  const model = await loadModel(gpu, modelDirectory(base), { storage: 'f32' });
  const { adapter } = await prepareTuning(model, resolveConfiguration(schemes[kind]!(settings)));
  const layout = layOutState(adapterEntries(adapter!.tensors));
  const state = allocateState(gpu, layout, 'adapter');
  const offsets = new Map(layout.entries.map((entry) => [entry.name, entry.offset]));
  for (const tensor of adapter!.tensors) {
    const values = valuesOf[kind]!(tensor, stored);
    expect(values.length, tensor.name).toBe(tensor.values.length);
    state.write(values, offsets.get(tensor.name)! * 4);
  }
  const plain = model.plainProbes;
  const frozen = { state: plain.state, vectors: plain.vectors };
  const probes = { ...plain, state, vectors: offsets, frozen, adapter: adapter! };
  for (const [index, tokens] of ids.entries()) {
    const logits = await sequenceLogits(model, tokens, probes);
    expect(logits).toHaveLength(tokens.length);
    expect(relativeError(logits.at(-1)!, expected[index]!)).toBeLessThan(1e-5);
    const without = await sequenceLogits(model, tokens);
    expect(relativeError(without.at(-1)!, expected[index]!)).toBeGreaterThan(1e-2);
  }
  state.destroy();
  model.destroy();
});
