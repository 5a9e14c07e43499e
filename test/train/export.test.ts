import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { SubzeroError } from '../../src/errors.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import {
  bytesToF32,
  f32ToBytes,
  openModelWeights,
  openSafetensors,
  type TensorSource,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/safetensors/index.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { restoreRun } from '../../src/train/run.ts';
import { collect, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from './tiny.ts';

let gpu: Gpu;
let engine: LocalEngine;

beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const tokens = [3, 17, 55, 90, 12, 7, 33, 41, 2, 96];

async function train(
  name: string,
  configuration: Partial<TrainConfiguration> = {},
): Promise<{ run: string; base: string }> {
  const run = join(temporaryFolder(), 'run');
  const base = tinyModel(name);
  const file = writeRows(optionRows());
  await collect(engine.train({ model: base, data: { file }, configuration: { ...quick, ...configuration }, out: run }));
  return { run, base };
}

/** Writes an output head at half the embedding into a tied model. */
async function giveOwnHead(directory: string): Promise<void> {
  const file = join(directory, 'model.safetensors');
  const source = await openSafetensors(file);
  const tensors: TensorToWrite[] = [];
  for (const { name, dtype, shape } of source.tensors.values()) {
    const bytes = await source.read(name);
    tensors.push({ name, dtype, shape, data: () => [bytes] });
  }
  await source.close();
  const embedding = tensors.find(({ name }) => name === 'model.embed_tokens.weight')!;
  const half = bytesToF32(embedding.dtype, [...(embedding.data() as Uint8Array[])][0]!.slice()).map((x) => x / 2);
  tensors.push({ ...embedding, name: 'lm_head.weight', data: () => [f32ToBytes('F32', half)] });
  await writeSafetensors(file, tensors);
}

async function exportTo(
  run: string,
  format: 'safetensors' | 'peft',
  step?: number,
): Promise<{ out: string; files: string[] }> {
  const out = join(temporaryFolder(), 'out');
  const files = await engine.exportRun({ run, format, out, ...(step === undefined ? {} : { step }) });
  return { out, files };
}

/** Logits of the run as it is served: base weights and open factors. */
async function logitsOfRun(run: string, folded: boolean): Promise<Float32Array[]> {
  const { model, optimizer } = await restoreRun(gpu, run);
  if (folded) optimizer.foldAll();
  const logits = await sequenceLogits(model, tokens, optimizer.current);
  optimizer.destroy();
  model.destroy();
  return logits;
}

async function logitsOfModel(directory: string): Promise<Float32Array[]> {
  const model = await loadModel(gpu, directory);
  const logits = await sequenceLogits(model, tokens);
  model.destroy();
  return logits;
}

/** The largest difference, in units of the largest logit. */
function difference(one: readonly Float32Array[], other: readonly Float32Array[]): number {
  const size = Math.max(...one.map((row) => Math.max(...row.map(Math.abs))));
  return Math.max(...one.map((row, i) => Math.max(...row.map((value, j) => Math.abs(value - other[i]![j]!))))) / size;
}

async function failure(work: Promise<unknown>): Promise<SubzeroError> {
  const error = await work.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  return error as SubzeroError;
}

async function values(source: TensorSource, name: string): Promise<Float32Array> {
  return bytesToF32(source.tensors.get(name)!.dtype, await source.read(name));
}

/** Makes the language model of a model that sees out of a Gemma 3, with the names of older files. */
async function giveEyes(directory: string): Promise<void> {
  const file = join(directory, 'config.json');
  const text = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  delete text.architectures;
  writeFileSync(file, JSON.stringify({ model_type: 'gemma3', text_config: text, vision_config: { hidden_size: 2 } }));
  const weights = join(directory, 'model.safetensors');
  const source = await openSafetensors(weights);
  const tensors: TensorToWrite[] = [];
  for (const { name, dtype, shape } of source.tensors.values()) {
    const bytes = await source.read(name);
    tensors.push({ name: name.replace(/^model\./, 'language_model.model.'), dtype, shape, data: () => [bytes] });
  }
  await source.close();
  const seen = { name: 'vision_tower.patches.weight', dtype: 'F32', shape: [2] } as const;
  tensors.push({ ...seen, data: () => [f32ToBytes('F32', Float32Array.of(3, 0.125))] });
  await writeSafetensors(weights, tensors);
}

describe('a model directory', () => {
  test('of a model that sees: the language model is trained, the rest comes along', async () => {
    const base = tinyModel('gemma3-tiny');
    const plain = await logitsOfModel(base);
    await giveEyes(base);
    expect(difference(plain, await logitsOfModel(base))).toBe(0);
    const run = join(temporaryFolder(), 'run');
    const configuration = { ...quick, steps: 2, storage: 'f32' } as const;
    await collect(engine.train({ model: base, data: { file: writeRows(optionRows()) }, configuration, out: run }));
    const { out } = await exportTo(run, 'safetensors');
    const exported = await logitsOfModel(out);
    expect(difference(await logitsOfRun(run, true), exported)).toBeLessThan(1e-6);
    expect(difference(plain, exported)).toBeGreaterThan(1e-5);
    const source = await openModelWeights(out);
    expect([...(await values(source, 'vision_tower.patches.weight'))]).toEqual([3, 0.125]);
    expect(source.tensors.has('model.language_model.embed_tokens.weight')).toBe(true);
    await source.close();
  });

  test.each([
    ...['llama-tiny', 'opt-tiny', 'qwen2-tiny', 'qwen3-tiny', 'qwen3-odd-tiny', 'opt-odd-tiny'],
    ...['gemma3-tiny', 'granite-tiny'],
    ...['phi3-tiny', 'gpt2-tiny', 'gpt-neox-tiny'],
  ])('%s has the logits of the run', async (name) => {
    // Seven steps: two of them behind a fold.
    const { run, base } = await train(name, { steps: 7, storage: 'f32' });
    const { out } = await exportTo(run, 'safetensors');
    const exported = await logitsOfModel(out);
    // The same weights; only the order of sums may differ between kernels with and without a side product.
    expect(difference(await logitsOfRun(run, true), exported)).toBeLessThan(1e-6);
    // Folding rounds W + ΔW to f32 once; the factored form never does.
    expect(difference(await logitsOfRun(run, false), exported)).toBeLessThan(1e-5);
    expect(difference(await logitsOfModel(base), exported)).toBeGreaterThan(1e-3);
  });

  test.each([
    { name: 'qwen3-odd-tiny', storage: 'bf16' },
    { name: 'opt-odd-tiny', storage: 'f16' },
    { name: 'phi3-tiny', storage: 'bf16' },
    { name: 'gpt2-tiny', storage: 'f16' },
    { name: 'gpt-neox-tiny', storage: 'f32' },
  ] as const)('$name has the bytes of its base before the first step', async ({ name, storage }) => {
    const { run, base } = await train(name, { steps: 1, storage });
    const { out } = await exportTo(run, 'safetensors', 0);
    const [source, original] = [await openModelWeights(out), await openModelWeights(base)];
    expect([...source.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
    for (const [tensor, { dtype, shape }] of original.tensors) {
      expect(source.tensors.get(tensor)).toMatchObject({ dtype, shape });
      expect(Buffer.compare(await source.read(tensor), await original.read(tensor)), tensor).toBe(0);
    }
    await source.close();
    await original.close();
  });

  test.each([
    // Half an ulp of the stored weights, relative: 2⁻¹² and 2⁻⁹; logits sum many of them.
    { storage: 'f16', dtype: 'F16', torch: 'float16', tolerance: 2e-3 },
    { storage: 'bf16', dtype: 'BF16', torch: 'bfloat16', tolerance: 2e-2 },
    { storage: 'f32', dtype: 'F32', torch: 'float32', tolerance: 1e-5 },
  ] as const)('in $storage keeps the type that it was trained in', async ({ storage, dtype, torch, tolerance }) => {
    const { run, base } = await train('llama-tiny', { steps: 7, storage });
    const { out, files } = await exportTo(run, 'safetensors');
    expect(difference(await logitsOfRun(run, false), await logitsOfModel(out))).toBeLessThan(tolerance);

    const [source, original] = [await openModelWeights(out), await openModelWeights(base)];
    expect([...source.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
    for (const [tensor, entry] of source.tensors) {
      expect(entry.dtype).toBe(dtype);
      expect(entry.shape).toEqual(original.tensors.get(tensor)!.shape);
    }
    await source.close();
    await original.close();

    expect(files.sort()).toEqual(
      readdirSync(out)
        .map((file) => join(out, file))
        .sort(),
    );
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as Record<string, unknown>;
    const before = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toEqual({ ...before, torch_dtype: torch });
    expect(readFileSync(join(out, 'tokenizer.json'))).toEqual(readFileSync(join(base, 'tokenizer.json')));
  });

  test('has the files of a model, and nothing else that lies beside the base', async () => {
    const { run, base } = await train('llama-tiny', { steps: 1 });
    const belong = [
      ...[
        'added_tokens.json',
        'chat_template.jinja',
        'generation_config.json',
        'merges.txt',
        'preprocessor_config.json',
      ],
      ...['special_tokens_map.json', 'tokenizer.model', 'vocab.json', 'vocab.txt'],
    ];
    // Read with the weights of the base, these would be about another model.
    const stray = [
      'model.safetensors.index.json.old',
      'notes.txt',
      'reference.json',
      'trainer_state.json',
      'README.md',
    ];
    for (const name of [...belong, ...stray]) writeFileSync(join(base, name), '{}');
    const { out, files } = await exportTo(run, 'safetensors');
    const own = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    expect(readdirSync(out).sort()).toEqual([...own, ...belong].sort());
    expect(files.map((file) => basename(file)).sort()).toEqual([...own, ...belong].sort());
  });

  test('of a base that ties its head in config.json only is one that no program ties', async () => {
    const base = tinyModel('llama-tiny');
    await giveOwnHead(base);
    const silenced = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const run = join(temporaryFolder(), 'run');
    const data = { file: writeRows(optionRows()) };
    await collect(engine.train({ model: base, data, configuration: quick, out: run }));
    const { out } = await exportTo(run, 'safetensors');
    const expected = await logitsOfRun(run, true);
    silenced.mockRestore();
    expect(JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')).tie_word_embeddings).toBe(true);
    expect(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')).tie_word_embeddings).toBe(false);
    expect(await logitsOfModel(out)).toEqual(expected);
  });

  test('can be served and trained on like any other', async () => {
    const { run } = await train('llama-tiny', { steps: 3 });
    const { out } = await exportTo(run, 'safetensors');
    await engine.loadModel({ id: 'exported', path: out });
    let text = '';
    for await (const event of engine.generate({ model: 'exported', prompt: 'a', maxTokens: 4, temperature: 0 })) {
      if (event.type === 'done') text = event.text;
    }
    expect(text.length).toBeGreaterThan(0);
    await engine.unloadModel('exported');
    const again = join(temporaryFolder(), 'run');
    const data = { file: writeRows(optionRows()) };
    const events = await collect(engine.train({ model: out, data, configuration: { ...quick, steps: 1 }, out: again }));
    expect(events.at(-1)).toMatchObject({ outcome: 'finished' });
  });

  test('is not written over another', async () => {
    const { run, base } = await train('llama-tiny', { steps: 1 });
    const before = readFileSync(join(base, 'model.safetensors'));
    for (const format of ['safetensors', 'peft'] as const) {
      const error = await failure(engine.exportRun({ run, format, out: base }));
      expect(error).toMatchObject({ code: 'conflict', parameter: 'out' });
    }
    expect(Buffer.compare(readFileSync(join(base, 'model.safetensors')), before)).toBe(0);
  });

  test('where no folder can be made, says so', async () => {
    const { run } = await train('llama-tiny', { steps: 1 });
    const blocked = join(writeRows('', temporaryFolder(), 'a-file'), 'out');
    const error = await failure(engine.exportRun({ run, format: 'safetensors', out: blocked }));
    expect(error.code).toBe('io');
    expect(error.message).toContain(blocked);
    // The engine is none the worse for it.
    expect(existsSync((await exportTo(run, 'safetensors')).out)).toBe(true);
  });

  test('of a folder that is no run', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'journal.subzero'), 'not one');
    expect((await failure(exportTo(folder, 'safetensors'))).code).toBe('invalid_data');
    expect((await failure(exportTo(join(folder, 'missing'), 'safetensors'))).code).toBe('not_found');
  });
});

interface AdapterConfig {
  r: number;
  lora_alpha: number;
  rank_pattern: Record<string, number>;
  alpha_pattern: Record<string, number>;
  target_modules: string[];
  modules_to_save: string[] | null;
  fan_in_fan_out: boolean;
  bias: string;
}

/** scale · B A as PEFT computes it, [rows of B, columns of A]. */
function product(b: Float32Array, a: Float32Array, rank: number, scale: number): Float64Array {
  const [rows, columns] = [b.length / rank, a.length / rank];
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      for (let k = 0; k < rank; k++) result[i * columns + j]! += scale * b[i * rank + k]! * a[k * columns + j]!;
    }
  }
  return result;
}

describe('a PEFT adapter', () => {
  // As PEFT 0.21 on transformers 5.23 loads it; there base and adapter gave the logits of our run within 2e-5.
  test('of a Llama with tied embeddings has the names and shapes that PEFT looks for', async () => {
    const { run, base } = await train('llama-tiny', { steps: 5, rank: 24 });
    const { out, files } = await exportTo(run, 'peft');
    expect(files).toEqual([join(out, 'adapter_model.safetensors'), join(out, 'adapter_config.json')]);
    const source = await openSafetensors(files[0]!);
    const shapes = Object.fromEntries([...source.tensors].map(([name, { shape }]) => [name, shape]));
    await source.close();
    const layer = (index: number) => {
      const at = `base_model.model.model.layers.${index}`;
      return {
        [`${at}.input_layernorm.weight`]: [32],
        [`${at}.post_attention_layernorm.weight`]: [32],
        [`${at}.self_attn.q_proj.lora_A.weight`]: [24, 32],
        [`${at}.self_attn.q_proj.lora_B.weight`]: [32, 24],
        // Two key heads of width 8: the smaller side clips the rank.
        [`${at}.self_attn.k_proj.lora_A.weight`]: [16, 32],
        [`${at}.self_attn.k_proj.lora_B.weight`]: [16, 16],
        [`${at}.self_attn.v_proj.lora_A.weight`]: [16, 32],
        [`${at}.self_attn.v_proj.lora_B.weight`]: [16, 16],
        [`${at}.self_attn.o_proj.lora_A.weight`]: [24, 32],
        [`${at}.self_attn.o_proj.lora_B.weight`]: [32, 24],
        [`${at}.mlp.gate_proj.lora_A.weight`]: [24, 32],
        [`${at}.mlp.gate_proj.lora_B.weight`]: [64, 24],
        [`${at}.mlp.up_proj.lora_A.weight`]: [24, 32],
        [`${at}.mlp.up_proj.lora_B.weight`]: [64, 24],
        [`${at}.mlp.down_proj.lora_A.weight`]: [24, 64],
        [`${at}.mlp.down_proj.lora_B.weight`]: [32, 24],
      };
    };
    expect(shapes).toEqual({
      'base_model.model.model.embed_tokens.lora_embedding_A': [24, 160],
      'base_model.model.model.embed_tokens.lora_embedding_B': [32, 24],
      'base_model.model.lm_head.lora_A.weight': [24, 32],
      'base_model.model.lm_head.lora_B.weight': [160, 24],
      'base_model.model.model.norm.weight': [32],
      ...layer(0),
      ...layer(1),
    });
    const config = JSON.parse(readFileSync(files[1]!, 'utf8')) as AdapterConfig;
    const clipped = Object.fromEntries(
      [0, 1].flatMap((index) => ['k', 'v'].map((kind) => [`model.layers.${index}.self_attn.${kind}_proj`, 16])),
    );
    expect(config).toMatchObject({
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: base,
      r: 24,
      lora_alpha: 24,
      rank_pattern: clipped,
      alpha_pattern: clipped,
      bias: 'none',
    });
    const modules = Object.keys(shapes).flatMap(
      (name) => /^base_model\.model\.(.*)\.lora_(embedding_)?A/.exec(name)?.[1] ?? [],
    );
    expect(config.target_modules.sort()).toEqual(modules.sort());
  });

  test.each([
    'llama-tiny',
    'opt-tiny',
    'opt-postln-tiny',
    'qwen2-tiny',
    'mistral-tiny',
    'qwen3-odd-tiny',
    'opt-odd-tiny',
    'phi3-tiny',
    'gpt2-tiny',
    'gpt-neox-tiny',
  ])('%s: base and adapter make the merged weights', async (name) => {
    const { run, base } = await train(name, { steps: 5, rank: 6, storage: 'f32' });
    const adapter = await exportTo(run, 'peft');
    const config = JSON.parse(readFileSync(join(adapter.out, 'adapter_config.json'), 'utf8')) as AdapterConfig;
    const [weights, merged] = [
      await openModelWeights(base),
      await openModelWeights((await exportTo(run, 'safetensors')).out),
    ];
    const source = await openSafetensors(adapter.files[0]!);
    const at = 'base_model.model.';
    const has = (key: string) => source.tensors.has(at + key);
    for (const [tensor, { shape }] of merged.tensors) {
      // Files of GPT-NeoX have an older name of the head than PEFT, which goes by modules.
      const parameter = tensor.replace('embed_out.', 'lm_head.');
      const module = parameter.replace(/\.(weight|bias)$/, '');
      const expected = await values(merged, tensor);
      const start = await values(weights, tensor);
      const rank = config.rank_pattern[module] ?? config.r;
      const scale = (config.alpha_pattern[module] ?? config.lora_alpha) / rank;
      let actual: ArrayLike<number>;
      if (shape.length === 2 && has(`${module}.lora_A.weight`)) {
        const b = await values(source, `${at}${module}.lora_B.weight`);
        const change = product(b, await values(source, `${at}${module}.lora_A.weight`), rank, scale);
        // Matrices of GPT-2 lie the other way round, which PEFT is told.
        const transposed = name === 'gpt2-tiny' && tensor.includes('.h.');
        expect(config.fan_in_fan_out).toBe(name === 'gpt2-tiny');
        const [rows, columns] = shape as [number, number];
        const placeOf = (i: number) => (transposed ? (i % columns) * rows + Math.floor(i / columns) : i);
        actual = start.map((value, i) => value + change[placeOf(i)]!);
      } else if (has(`${module}.lora_embedding_A`)) {
        const b = await values(source, `${at}${module}.lora_embedding_B`);
        const a = await values(source, `${at}${module}.lora_embedding_A`);
        // PEFT transposes the product for embeddings.
        const change = product(b, a, rank, scale);
        const [rows, columns] = shape as [number, number];
        actual = start.map((value, i) => value + change[(i % columns) * rows + Math.floor(i / columns)]!);
        // A tied head must say the same change again; one of its own is looked at on its own.
        if (!merged.tensors.has('lm_head.weight') && !merged.tensors.has('embed_out.weight')) {
          const headB = await values(source, `${at}lm_head.lora_B.weight`);
          const head = product(headB, await values(source, `${at}lm_head.lora_A.weight`), rank, scale);
          expect(Math.max(...head.map((value, i) => Math.abs(start[i]! + value - expected[i]!)))).toBeLessThan(1e-6);
        }
      } else if (tensor.endsWith('.bias') && has(`${module}.base_layer.bias`)) {
        expect(config.bias).toBe('all');
        actual = await values(source, `${at}${module}.base_layer.bias`);
      } else {
        expect(config.modules_to_save).toContain(module);
        actual = await values(source, at + parameter);
      }
      const error = Math.max(...Array.from(expected, (value, i) => Math.abs(value - actual[i]!)));
      expect(error, tensor).toBeLessThan(1e-6);
      expect(Math.max(...Array.from(expected, (value, i) => Math.abs(value - start[i]!))), tensor).toBeGreaterThan(0);
    }
    for (const opened of [weights, merged, source]) await opened.close();
  });

  test('is refused behind a fold, and made for a step before it', async () => {
    const { run } = await train('llama-tiny', { steps: 6 });
    const error = await failure(exportTo(run, 'peft'));
    expect(error).toMatchObject({ code: 'unsupported', parameter: 'format' });
    expect(error.message).toContain('step 6');
    expect(error.message).toContain('step 5');
    expect((await exportTo(run, 'peft', 5)).files.length).toBe(2);
  });

  test('is refused with weight decay, which it could not say', async () => {
    const { run } = await train('llama-tiny', { steps: 2, weightDecay: 0.1 });
    const error = await failure(exportTo(run, 'peft'));
    expect(error.code).toBe('unsupported');
    expect(error.message).toContain('weight decay');
  });
});
