/**
 * Files of our own writing beside what llama.cpp's converter makes of the same checkpoints (`make_gguf.py`): the same
 * keys, tensors and values; and what we read of them is what transformers computes from the checkpoint.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GgufModel } from '../../src/gguf/index.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { bytesToF32 } from '../../src/safetensors/index.ts';
import { quantizeModel } from '../../src/train/quantize.ts';
import { type Parity, type ParityCase, projectionWeights, writeCheckpoint } from '../parity/checkpoint.ts';
import { ofPasses, tolerance } from '../parity/compare.ts';
import { temporaryDirectory } from '../safetensors/helpers.ts';
import { writeLetters } from '../support/letters.ts';

interface Converted {
  name: string;
  architecture: string;
  keys: Record<string, unknown>;
  /** `SHAPE PROJECTION`, of tensors in F32. */
  tensors: Record<string, string>;
}

const read = <T>(path: string): T => JSON.parse(readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8'));
const converted = read<Converted[]>('../fixtures/gguf/converted.json');
const { cases } = read<Parity>('../parity/parity.json');
const directory = await temporaryDirectory();

/** Keys that we write where the converter leaves them out, and what of its keys says nothing about the function. */
const additional = [
  ...['vocab_size', 'rope.dimension_count', 'rope.freq_base', 'attention.key_length', 'attention.value_length'],
  ...['expert_gating_func', 'attention.head_count_kv'],
];
const leftOut: Record<string, string[]> = {
  nemotron: ['attention.layer_norm_rms_epsilon', 'rope.scaling.type'],
  'command-r': ['rope.scaling.type'],
  phi2: ['feed_forward_length'],
  'ernie4_5-moe': ['expert_shared_feed_forward_length'],
  gpt2: ['feed_forward_length'],
  starcoder: ['feed_forward_length'],
  // The width, where config.json does not say it.
  bloom: ['context_length'],
  falcon: ['feed_forward_length', 'context_length'],
};

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

/** Numbers as a file has them, or a list of one number for all. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.every((each) => each === value[0]) ? plain(value[0]) : value.map(plain);
  return typeof value === 'number' ? Math.fround(value) : value;
}

/** The folder of a checkpoint. */
async function written(parity: ParityCase): Promise<string> {
  const folder = join(directory, parity.name);
  await writeCheckpoint(folder, parity);
  writeLetters(folder);
  return folder;
}

test.each(converted)('$architecture ($name)', async ({ name, architecture, keys, tensors }) => {
  const parity = cases.find((each) => each.name === name)!;
  const folder = await written(parity);
  const file = join(directory, `${name}.gguf`);
  await quantizeModel({ model: folder, out: file, format: 'gguf', storage: 'f32' });
  const model = await GgufModel.open(file, () => true);
  try {
    const prefix = `${architecture}.`;
    const known = Object.entries(keys).filter(([key]) => !leftOut[architecture]?.includes(key.slice(prefix.length)));
    for (const [key, value] of known) expect([key, plain(model.metadata.get(key))]).toEqual([key, plain(value)]);
    const more = [...model.metadata.keys()].filter((key) => key.startsWith(prefix) && !(key in keys));
    expect(more.filter((key) => !additional.includes(key.slice(prefix.length)))).toEqual([]);
    expect([...model.tensors.keys()].toSorted()).toEqual(Object.keys(tensors).toSorted());
    for (const [tensor, line] of Object.entries(tensors)) {
      const [sides = '', projection, type = 'F32'] = line.split(' ');
      const shape = sides.split('x').map(Number);
      const own = model.tensors.get(tensor)!;
      expect([tensor, own.type.name, own.shape.filter((side) => side !== 1)]).toEqual([
        ...[tensor, type, shape.filter((side) => side !== 1)],
      ]);
      const values = bytesToF32('F32', await model.read(tensor, 0, own.byteLength));
      const weights = projectionWeights(values.length);
      const sum = values.reduce((total, value, index) => total + value * weights[index]!, 0);
      const size = values.reduce((total, value, index) => total + Math.abs(value * weights[index]!), 0);
      expect(Math.abs(sum - Number(projection)), tensor).toBeLessThanOrEqual(2e-6 * size);
    }
  } finally {
    await model.close();
  }
  expect(await ofPasses(gpu, file, parity)).toBeLessThanOrEqual(tolerance);
});

test('matrices of GPT-2, which checkpoints have the other way round, are read in blocks', async () => {
  const parity = cases.find(({ name }) => name === 'gpt2: nothing but sizes')!;
  const [folder, file] = [await written(parity), join(directory, 'blocks.gguf')];
  await quantizeModel({ model: folder, out: file, format: 'gguf', storage: 'q8' });
  const model = await GgufModel.open(file);
  const typeOf = (name: string) => model.tensors.get(name)!.type.name;
  expect(['blk.0.attn_qkv.weight', 'position_embd.weight'].map(typeOf)).toEqual(['Q8_0', 'F32']);
  await model.close();
  const logitsOf = async (path: string): Promise<number[]> => {
    const loaded = await loadModel(gpu, path);
    const logits = await sequenceLogits(loaded, [1, 5, 9, 2, 40]);
    loaded.destroy();
    return logits.flatMap((row) => [...row]);
  };
  const [expected, found] = [await logitsOf(folder), await logitsOf(file)];
  const size = Math.max(...expected.map(Math.abs));
  for (const [at, value] of found.entries()) expect(Math.abs(value - expected[at]!)).toBeLessThan(0.02 * size);
});

describe('what the converter does not make', () => {
  const caseOf = (name: string): ParityCase => cases.find((each) => each.name === name)!;

  test.each(['gpt_bigcode: a key head for each head', 'granite_swa: no positions'])('%s', async (name) => {
    const parity = caseOf(name);
    const file = join(directory, `${name}.gguf`);
    await quantizeModel({ model: await written(parity), out: file, format: 'gguf', storage: 'f32' });
    expect(await ofPasses(gpu, file, parity)).toBeLessThanOrEqual(tolerance);
  });

  test('biases of short convolutions', async () => {
    const parity = caseOf('lfm2: biases of the convolution');
    const file = join(directory, 'biases.gguf');
    await quantizeModel({ model: await written(parity), out: file, format: 'gguf', storage: 'f32' });
    expect(await ofPasses(gpu, file, parity)).toBeLessThanOrEqual(tolerance);
  });

  test.each([
    ['apertus: hidden_act gelu', /files of "apertus" have "xielu\.alpha_p", and the model has no "model\.layers\.0\./],
    [
      'lfm2_moe: no experts',
      /"lfm2moe" cannot say .* \("lfm2moe\.expert_count" is missing; expected a whole number\); export/,
    ],
    [
      'ministral3: rotation absent',
      /"mistral3" cannot say .* \(architecture, .* would differ\); export as safetensors/,
    ],
    ['qwen3_5_text: widths that 4 does not divide', /it has 48 tokens and the model's embedding 47/],
    ['gpt2: scores by layer', /"gpt2" cannot say .* \(blocks\.0\.0\.scale, .* would differ\); export/],
    ['falcon: ALiBi', /"falcon" cannot say .*; export as safetensors/],
    ['falcon: one sublayer after the other', /post_attention_layernorm\.weight" has no name in GGUF files of "falcon"/],
    ['mpt: scale of scores', /"mpt" cannot say .* would differ\); export as safetensors/],
    ['granite_swa: bases by layer', /"granite_swa" cannot say .* would differ\); export as safetensors/],
  ])('%s is refused', async (name, message) => {
    const model = await written(caseOf(name));
    const out = join(directory, 'refused.gguf');
    await expect(quantizeModel({ model, out, format: 'gguf', storage: 'f32' })).rejects.toThrow(message);
    expect(existsSync(out)).toBe(false);
  });
});
