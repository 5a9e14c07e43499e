/** Experts in GGUF files: quantised stacks against the values of their blocks, and files that are wrong. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { openGgufWeights } from '../../src/gguf/index.ts';
import { inTurns } from '../../src/gguf/ranges.ts';
import { tensorTypes } from '../../src/gguf/tensor-types.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { matchTensors } from '../../src/model/checkpoint-tensors.ts';
import { loadModel, readConfigurationFile } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import type { Model } from '../../src/model/model.ts';
import { openModelWeights } from '../../src/safetensors/index.ts';
import { quantizeModel } from '../../src/train/quantize.ts';
import { weightValues } from '../../src/train/weight-bytes.ts';
import { type BlockFormatName, blockFormats } from '../../src/weights/block-formats.ts';
import { blockWriters } from '../../src/weights/write-blocks.ts';
import { expectFailure, temporaryDirectory } from '../safetensors/helpers.ts';
import { writeLetters } from '../support/letters.ts';
import { withSeed } from '../support/random.ts';
import { type FileToLayOut, f32, layOutGguf, type TensorToLayOut, text, u32, type Value } from './build.ts';

const folder = fileURLToPath(new URL('../fixtures/quantized/mxfp4', import.meta.url));
const golden = JSON.parse(readFileSync(new URL('../fixtures/golden/gguf-blocks.json', import.meta.url), 'utf8')) as {
  cases: Record<BlockFormatName, { blocks: string }>;
};
const directory = await temporaryDirectory();
let counter = 0;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const idOf = new Map([...tensorTypes].map(([id, { name }]) => [name, id]));
const width = 256;
const experts = 3;
const ids = [3, 1, 4, 1, 5, 9, 2, 6, 5];

/** Blocks of the golden ones, as many as are needed, from another one on. */
function blocksOf(type: BlockFormatName, count: number, start: number): Uint8Array<ArrayBuffer> {
  const all = Uint8Array.from(Buffer.from(golden.cases[type].blocks, 'base64'));
  const { bytes } = blockFormats[type];
  const result = new Uint8Array(count * bytes);
  for (let block = 0; block < count; block++) {
    const from = (((start + 7 * block) * bytes) % all.length) - (((start + 7 * block) * bytes) % bytes);
    result.set(all.subarray(from, from + bytes), block * bytes);
  }
  return result;
}

/** A tensor of some type with values of a weight's size. */
function tensor(name: string, shape: number[], type: string, start: number): TensorToLayOut {
  const count = shape.reduce((product, side) => product * side, 1);
  const dimensions = shape.toReversed();
  if (type === 'F32') {
    const isGain = /norm/.test(name);
    const values = Float32Array.from({ length: count }, (_, index) => {
      const value = Math.sin(start + 1.7 * index) * 0.1;
      return isGain ? 1 + value : value;
    });
    return { name, dimensions, type: 0, data: new Uint8Array(values.buffer) };
  }
  const data = blocksOf(type as BlockFormatName, count / blockFormats[type as BlockFormatName].elements, start);
  return { name, dimensions, type: idOf.get(type)!, data };
}

type Types = Record<'gate' | 'up' | 'down', string>;

/** A file of one layer. */
function fileOf(architecture: 'qwen3moe' | 'gpt-oss', types: Types): Required<Pick<FileToLayOut, 'keys' | 'tensors'>> {
  const isGptOss = architecture === 'gpt-oss';
  const own = (key: string, value: Value): [string, Value] => [`${architecture}.${key}`, value];
  const sizes = {
    ...{ block_count: 1, context_length: 64, embedding_length: width, feed_forward_length: width },
    ...{ 'attention.head_count': 4, 'attention.head_count_kv': 2, 'attention.key_length': 16 },
    ...{ 'attention.value_length': 16, expert_count: experts, expert_used_count: 2, expert_feed_forward_length: width },
  };
  const tensors = [
    tensor('token_embd.weight', [16, width], 'F32', 1),
    tensor('output.weight', [16, width], 'F32', 2),
    tensor('output_norm.weight', [width], 'F32', 3),
    tensor('blk.0.attn_norm.weight', [width], 'F32', 4),
    tensor(`blk.0.${isGptOss ? 'post_attention' : 'ffn'}_norm.weight`, [width], 'F32', 5),
    tensor('blk.0.attn_q.weight', [64, width], 'F32', 6),
    tensor('blk.0.attn_k.weight', [32, width], 'F32', 7),
    tensor('blk.0.attn_v.weight', [32, width], 'F32', 8),
    tensor('blk.0.attn_output.weight', [width, 64], 'F32', 9),
    tensor('blk.0.ffn_gate_inp.weight', [experts, width], 'F32', 10),
    ...(['gate', 'up', 'down'] as const).map((name, index) =>
      tensor(`blk.0.ffn_${name}_exps.weight`, [experts, width, width], types[name], 11 + index),
    ),
    ...(isGptOss
      ? [
          tensor('blk.0.attn_sinks.weight', [4], 'F32', 14),
          tensor('blk.0.ffn_gate_inp.bias', [experts], 'F32', 15),
          ...['gate', 'up', 'down'].map((name, index) =>
            tensor(`blk.0.ffn_${name}_exps.bias`, [experts, width], 'F32', 16 + index),
          ),
        ]
      : [tensor('blk.0.attn_q_norm.weight', [16], 'F32', 14), tensor('blk.0.attn_k_norm.weight', [16], 'F32', 15)]),
  ];
  const keys: [string, Value][] = [
    ['general.architecture', text(architecture)],
    ...Object.entries(sizes).map(([key, value]) => own(key, u32(value))),
    own('attention.layer_norm_rms_epsilon', f32(1e-5)),
  ];
  return { keys, tensors };
}

function written(file: FileToLayOut): string {
  const path = join(directory, `${counter++}.gguf`);
  writeFileSync(path, layOutGguf(file));
  return path;
}

/** The file with the values of its blocks. */
function inF32({ keys, tensors }: ReturnType<typeof fileOf>): FileToLayOut {
  return {
    keys,
    tensors: tensors.map((each) => {
      const format = blockFormats[tensorTypes.get(each.type)!.name as BlockFormatName];
      return format ? { ...each, type: 0, data: new Uint8Array(format.toF32(each.data!).buffer) } : each;
    }),
  };
}

/** The values of the experts' matrices by their names, as bytes: 0 is 0 whatever its sign. */
async function expertsOf(model: Model): Promise<Map<string, Buffer>> {
  const values = new Map<string, Buffer>();
  for (const weight of model.weights.values()) {
    if (!weight.stack) continue;
    const pieces: Buffer[] = [];
    for await (const piece of weightValues(gpu, weight))
      pieces.push(Buffer.from(piece.map((value) => value + 0).buffer));
    values.set(weight.name, Buffer.concat(pieces));
  }
  return values;
}

/** Names of matrices that are not the same. */
function different(one: ReadonlyMap<string, Buffer>, other: ReadonlyMap<string, Buffer>): string[] {
  const names = new Set([...one.keys(), ...other.keys()]);
  return [...names].filter((name) => !one.get(name) || !other.get(name)?.equals(one.get(name)!));
}

describe('quantised stacks have the values of their blocks', () => {
  test.each<['qwen3moe' | 'gpt-oss', Types, string[]]>([
    ['qwen3moe', { gate: 'Q4_K', up: 'Q5_K', down: 'Q6_K' }, ['q4k', 'q6k', 'q8m']],
    ['qwen3moe', { gate: 'Q8_0', up: 'Q4_0', down: 'Q4_1' }, ['q4', 'q4m', 'q8']],
    ['qwen3moe', { gate: 'MXFP4', up: 'Q5_0', down: 'Q5_1' }, ['mxfp4', 'q8', 'q8m']],
    ['gpt-oss', { gate: 'MXFP4', up: 'MXFP4', down: 'MXFP4' }, ['mxfp4']],
    ['gpt-oss', { gate: 'Q4_K', up: 'Q4_K', down: 'Q8_0' }, ['q4k', 'q8']],
  ])('%s: %o', async (architecture, types, storages) => {
    const file = fileOf(architecture, types);
    const [model, plain] = [await loadModel(gpu, written(file)), await loadModel(gpu, written(inF32(file)))];
    try {
      const own = [...model.weights.values()].filter(({ stack }) => stack).map(({ storage }) => storage);
      expect([...new Set(own)].sort()).toEqual(storages);
      expect(different(await expertsOf(model), await expertsOf(plain))).toEqual([]);
      const [logits, right] = [await sequenceLogits(model, ids), await sequenceLogits(plain, ids)];
      const size = Math.max(...right.map((row) => Math.max(...row.map(Math.abs))));
      for (const [row, values] of right.entries()) {
        const worst = Math.max(...values.map((value, id) => Math.abs(value - logits[row]![id]!)));
        expect(worst).toBeLessThanOrEqual(2e-6 * size);
      }
    } finally {
      model.destroy();
      plain.destroy();
    }
  });
});

/** The published layout as the converter brings it into a file: gate and up apart, and codes in another order. */
async function convertedStacks(layer: number): Promise<TensorToLayOut[]> {
  const source = await openModelWeights(folder);
  const read = async (name: string): Promise<{ bytes: Uint8Array; shape: readonly number[] }> => {
    const whole = `model.layers.${layer}.mlp.experts.${name}`;
    return { bytes: await source.read(whole), shape: source.tensors.get(whole)!.shape };
  };
  const stacks: TensorToLayOut[] = [];
  for (const [projection, own, first, step] of [
    ['gate', 'gate_up', 0, 2],
    ['up', 'gate_up', 1, 2],
    ['down', 'down', 0, 1],
  ] as const) {
    const [blocks, scales] = [await read(`${own}_proj_blocks`), await read(`${own}_proj_scales`)];
    const [count, rows, groups] = scales.shape as [number, number, number];
    const bytes: number[] = [];
    for (let row = first; row < count * rows; row += step) {
      for (let group = row * groups; group < (row + 1) * groups; group++) {
        const codes = Array.from({ length: 32 }, (_, index) => {
          const byte = blocks.bytes[16 * group + (index >> 1)]!;
          return index % 2 === 0 ? byte & 15 : byte >> 4;
        });
        bytes.push(scales.bytes[group]!);
        for (let index = 0; index < 16; index++) bytes.push(codes[index]! + 16 * codes[16 + index]!);
      }
    }
    stacks.push({
      name: `blk.${layer}.ffn_${projection}_exps.weight`,
      dimensions: [groups * 32, rows / step, count],
      type: 39,
      data: Uint8Array.from(bytes),
    });
  }
  await source.close();
  return stacks;
}

test('MXFP4 comes to the same bytes from a file as from the published layout', async () => {
  const [model, original] = [await loadModel(gpu, await convertedFile()), await loadModel(gpu, folder)];
  try {
    const expected = await expertsOf(original);
    expect(expected.size).toBe(16);
    expect(different(await expertsOf(model), expected)).toEqual([]);
    // Experts, attention and norms are the same, and so is what is computed of them.
    expect(await sequenceLogits(model, ids)).toEqual(await sequenceLogits(original, ids));
  } finally {
    model.destroy();
    original.destroy();
  }
});

/** The whole model of the fixture as the converter writes it. */
async function convertedFile(): Promise<string> {
  const source = await openModelWeights(folder);
  const outer: Record<string, string> = {
    'model.embed_tokens.weight': 'token_embd.weight',
    'model.norm.weight': 'output_norm.weight',
    'lm_head.weight': 'output.weight',
  };
  const inLayer: Record<string, string> = {
    ...{ input_layernorm: 'attn_norm', post_attention_layernorm: 'post_attention_norm', 'mlp.router': 'ffn_gate_inp' },
    ...{ 'self_attn.q_proj': 'attn_q', 'self_attn.k_proj': 'attn_k', 'self_attn.v_proj': 'attn_v' },
    ...{ 'self_attn.o_proj': 'attn_output', 'self_attn.sinks': 'attn_sinks' },
  };
  const tensors: TensorToLayOut[] = [...(await convertedStacks(0)), ...(await convertedStacks(1))];
  for (const [name, { shape }] of source.tensors) {
    if (/_(blocks|scales)$/.test(name)) continue;
    const bytes = await source.read(name);
    const [, layer, module, suffix] = /^model\.layers\.(\d+)\.(.+?)(?:\.(weight|bias))?$/.exec(name) ?? [];
    const add = (own: string, dimensions: number[], data: Uint8Array): void => {
      tensors.push({ name: own, dimensions, type: 30, data });
    };
    if (layer === undefined) add(outer[name]!, shape.toReversed(), bytes);
    else if (module!.endsWith('gate_up_proj_bias')) {
      const words = new Uint16Array(bytes.buffer);
      for (const [turn, projection] of ['gate', 'up'].entries()) {
        const half = words.filter((_, index) => index % 2 === turn);
        add(`blk.${layer}.ffn_${projection}_exps.bias`, [shape[1]! / 2, shape[0]!], new Uint8Array(half.buffer));
      }
    } else if (module!.endsWith('down_proj_bias')) add(`blk.${layer}.ffn_down_exps.bias`, shape.toReversed(), bytes);
    else add(`blk.${layer}.${inLayer[module!]}.${suffix ?? 'weight'}`, shape.toReversed(), bytes);
  }
  await source.close();
  const own = (key: string, value: Value): [string, Value] => [`gpt-oss.${key}`, value];
  const sizes = {
    ...{ block_count: 2, context_length: 256, embedding_length: 64, feed_forward_length: 64, expert_count: 4 },
    ...{ 'attention.head_count': 4, 'attention.head_count_kv': 2, 'attention.key_length': 16 },
    ...{ 'attention.value_length': 16, expert_used_count: 2, expert_feed_forward_length: 64 },
    ...{ 'attention.sliding_window': 8, 'rope.scaling.original_context_length': 4096 },
  };
  const keys: [string, Value][] = [
    ['general.architecture', text('gpt-oss')],
    ...Object.entries(sizes).map(([key, value]) => own(key, u32(value))),
    ...[own('attention.layer_norm_rms_epsilon', f32(1e-5)), own('rope.freq_base', f32(150_000))],
    ...[own('rope.scaling.type', text('yarn')), own('rope.scaling.factor', f32(32))],
  ];
  return written({ keys, tensors });
}

test.each(['q8', 'q4'] as const)('a published model is written anew with experts in %s', async (storage) => {
  const copy = join(directory, `copy-${storage}`);
  mkdirSync(copy);
  for (const name of ['config.json', 'model.safetensors'])
    writeFileSync(join(copy, name), readFileSync(join(folder, name)));
  writeLetters(copy);
  const out = join(directory, `${storage}-written.gguf`);
  const { tensors } = await quantizeModel({ model: copy, out, format: 'gguf', storage });
  const { dtype } = blockWriters[storage];
  expect(tensors.filter(({ name }) => /_exps\.weight$/.test(name)).map(({ type }) => type)).toEqual(
    Array(6).fill(dtype),
  );
  const [model, plain] = [await loadModel(gpu, out), await loadModel(gpu, folder, { storage })];
  try {
    expect(different(await expertsOf(model), await expertsOf(plain))).toEqual([]);
    // Routers and biases are exact, as llama.cpp has them.
    const source = await openGgufWeights(out);
    for (const name of ['mlp.router.weight', 'mlp.experts.gate_up_proj_bias', 'self_attn.sinks']) {
      expect(source.tensors.get(`model.layers.1.${name}`)!.dtype).toBe('F32');
    }
    await source.close();
    const safetensors = quantizeModel({ model: copy, out: join(directory, storage), format: 'safetensors', storage });
    await expectFailure(safetensors, 'unsupported', 'gate_up_proj" holds the matrices of all experts');
  } finally {
    model.destroy();
    plain.destroy();
  }
});

describe('what is wrong is refused by the name of the tensor', () => {
  const types = { gate: 'Q8_0', up: 'Q8_0', down: 'Q8_0' };
  const name = (projection: string): string => `blk.0.ffn_${projection}_exps.weight`;

  async function refusal(
    architecture: 'qwen3moe' | 'gpt-oss',
    change: (tensors: readonly TensorToLayOut[]) => TensorToLayOut[],
    code: 'invalid_data' | 'unsupported',
    ...parts: string[]
  ): Promise<void> {
    const { keys, tensors } = fileOf(architecture, types);
    await expectFailure(loadModel(gpu, written({ keys, tensors: change(tensors) })), code, ...parts);
  }

  const changed = (projection: string, change: Partial<TensorToLayOut>) => (tensors: readonly TensorToLayOut[]) =>
    tensors.map((each) => (each.name === name(projection) ? { ...each, ...change } : each));

  test('a stack of two dimensions', async () => {
    const change = { dimensions: [width, width * experts] };
    const sides = '[experts, out features, in features]';
    await refusal('qwen3moe', changed('up', change), 'invalid_data', name('up'), sides, '[768, 256]');
    await refusal('gpt-oss', changed('gate', change), 'invalid_data', name('gate'), sides);
    await refusal('gpt-oss', changed('down', change), 'invalid_data', 'expert_count" is 3', name('down'));
  });

  test('gate and up of two types where they are read as one, of two shapes, or one of them alone', async () => {
    const other = tensor(name('up'), [experts, width, width], 'Q4_0', 1);
    await refusal('gpt-oss', changed('up', other), 'unsupported', name('gate'), 'one type', 'Q8_0', 'Q4_0');
    const short = tensor(name('up'), [experts, width / 2, width], 'Q8_0', 1);
    await refusal('gpt-oss', changed('up', short), 'invalid_data', name('gate'), '[3, 256, 256]', '[3, 128, 256]');
    const without = (projection: string) => (tensors: readonly TensorToLayOut[]) =>
      tensors.filter((each) => each.name !== name(projection));
    await refusal('gpt-oss', without('up'), 'invalid_data', name('gate'), `${name('up')}" beside it`);
    await refusal('gpt-oss', without('gate'), 'invalid_data', name('up'), `${name('gate')}" beside it`);
    await refusal('qwen3moe', without('up'), 'invalid_data', 'lack 3 tensors', 'mlp.experts.0.up_proj.weight');
  });

  test('a type that is not read, and experts of an architecture that has none', async () => {
    const nvfp4 = { type: 40, data: new Uint8Array((experts * width * width * 36) / 64) };
    await refusal('qwen3moe', changed('down', nvfp4), 'unsupported', name('down'), 'NVFP4');
    const { keys, tensors } = fileOf('qwen3moe', types);
    const dense = keys.map(([key, value]): [string, Value] => [key.replace('qwen3moe', 'qwen3'), value]);
    dense[0] = ['general.architecture', text('qwen3')];
    await expectFailure(loadModel(gpu, written({ keys: dense, tensors })), 'unsupported', 'qwen3.expert_');
  });

  test('biases of experts where a family has none', async () => {
    const bias = tensor('blk.0.ffn_up_exps.bias', [experts, width], 'F32', 1);
    await refusal('qwen3moe', (tensors) => [...tensors, bias], 'invalid_data', 'blk.0.ffn_up_exps.bias');
  });
});

test('whatever shapes and types stacks have, they are matched or refused by a name', async () => {
  await withSeed('bad stacks in GGUF', async (random) => {
    let refused = 0;
    for (let round = 0; round < 60; round++) {
      const types = { gate: 'Q8_0', up: 'Q8_0', down: 'MXFP4' };
      const { keys, tensors } = fileOf(random.integer(0, 1) === 0 ? 'qwen3moe' : 'gpt-oss', types);
      const stacks = tensors.filter(({ name }) => /_exps|gate_inp/.test(name));
      const { name, dimensions } = stacks[random.integer(0, stacks.length - 1)]!;
      const sides = [1, 2, 32, 64, experts, width, 2 * width];
      const changed = dimensions.map((side) => (random.integer(0, 1) === 0 ? side : sides[random.integer(0, 6)]!));
      if (random.integer(0, 4) === 0) changed.push(2);
      if (random.integer(0, 4) === 0) changed.pop();
      const type = [0, 1, 8, 39, 40][random.integer(0, 4)]!;
      const data = new Uint8Array(4 * changed.reduce<number>((product, side) => product * Number(side), 1));
      const other = { name, dimensions: changed, type, data };
      const path = written({ keys, tensors: tensors.map((each) => (each.name === name ? other : each)) });
      try {
        const decoder = await readConfigurationFile(path);
        const source = await openGgufWeights(path);
        try {
          for (const { stored } of (await matchTensors(path, decoder, source)).parameters) {
            expect((await source.read(stored.name)).length).toBe(stored.byteLength);
          }
        } finally {
          await source.close();
        }
      } catch (error) {
        expect(error).toBeInstanceOf(SubzeroError);
        expect((error as SubzeroError).message).toContain(path);
        refused++;
      } finally {
        rmSync(path);
      }
    }
    expect(refused).toBeGreaterThan(30);
  });
});

test('rows in turns are read by any range', async () => {
  await withSeed('rows in turns', async (random) => {
    for (let round = 0; round < 40; round++) {
      const [rowBytes, run, turns] = [random.integer(1, 6), random.integer(1, 4), random.integer(1, 4)];
      const length = rowBytes * run * turns;
      const halves = [0, 1].map(() => Uint8Array.from({ length }, () => random.integer(0, 255)));
      const whole = Uint8Array.from(
        Array.from({ length: turns }, (_, turn) =>
          halves.flatMap((half) => [...half.subarray(turn * rowBytes * run, (turn + 1) * rowBytes * run)]),
        ).flat(),
      );
      const reads = halves.map((half) => async (at: number, count: number) => {
        if (at < 0 || count < 0 || at + count > half.length) throw new Error('a read outside');
        return half.slice(at, at + count);
      });
      const read = inTurns(reads as [(typeof reads)[0], (typeof reads)[0]], rowBytes, run);
      for (let each = 0; each < 8; each++) {
        const start = random.integer(0, whole.length);
        const count = random.integer(0, whole.length - start);
        expect(await read(start, count)).toEqual(whole.slice(start, start + count));
      }
    }
  });
});
