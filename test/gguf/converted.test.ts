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
  'expert_gating_func',
];
const leftOut: Record<string, string[]> = {
  nemotron: ['attention.layer_norm_rms_epsilon', 'rope.scaling.type'],
  'command-r': ['rope.scaling.type'],
  phi2: ['feed_forward_length'],
  'ernie4_5-moe': ['expert_shared_feed_forward_length'],
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

describe('what the converter does not make', () => {
  const caseOf = (name: string): ParityCase => cases.find((each) => each.name === name)!;

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
  ])('%s is refused', async (name, message) => {
    const model = await written(caseOf(name));
    const out = join(directory, 'refused.gguf');
    await expect(quantizeModel({ model, out, format: 'gguf', storage: 'f32' })).rejects.toThrow(message);
    expect(existsSync(out)).toBe(false);
  });
});
