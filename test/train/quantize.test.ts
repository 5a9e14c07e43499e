/** Models written in fewer bits: the same weights as quantising at load, in our own layout and as GGUF. */

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { GgufModel, openGgufConfiguration } from '../../src/gguf/index.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel, openWeights } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { openSafetensors, writeSafetensors } from '../../src/safetensors/index.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { inspectModel } from '../../src/train/inspect.ts';
import { quantizationErrors, quantizeModel } from '../../src/train/quantize.ts';
import { restoreRun } from '../../src/train/run.ts';
import { blockFormat } from '../../src/weights/block-formats.ts';
import { type Parity, writeCheckpoint } from '../parity/checkpoint.ts';
import { writeLetters } from '../support/letters.ts';
import {
  collect,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  trainUpTo,
  writeRows,
} from './tiny.ts';

const story = fileURLToPath(new URL('../fixtures/models/tinystories-656k', import.meta.url));
const reviews = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
const storyGguf = fileURLToPath(new URL('../fixtures/gguf/tinystories-656k-q8_0.gguf', import.meta.url));
const tokens = [1, 80, 147, 201, 282, 215, 286, 704];

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

async function logitsOf(path: string, storage?: 'q8' | 'q4' | 'f16' | 'f32'): Promise<Float32Array[]> {
  const model = await loadModel(gpu, path, storage ? { storage } : {});
  const logits = await sequenceLogits(model, tokens);
  model.destroy();
  return logits;
}

const distance = (a: readonly Float32Array[], b: readonly Float32Array[]): number =>
  Math.max(...a.map((row, i) => row.reduce((most, value, j) => Math.max(most, Math.abs(value - b[i]![j]!)), 0)));

const failure = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'it worked',
    (error: Error) => error.message,
  );

describe.each(['q8', 'q4'] as const)('%s', (storage) => {
  test('files of both formats are the model quantised at load, bit for bit', async () => {
    const folder = temporaryFolder();
    const atLoad = await logitsOf(story, storage);
    const own = join(folder, 'own');
    const file = join(folder, 'story.gguf');
    const { tensors } = await quantizeModel({ model: story, out: own, format: 'safetensors', storage });
    await quantizeModel({ model: story, out: file, format: 'gguf', storage });
    expect(await logitsOf(own)).toEqual(atLoad);
    expect(await logitsOf(file)).toEqual(atLoad);
    expect(distance(await logitsOf(story, 'f32'), atLoad)).toBeGreaterThan(1e-2);
    const [least, most] = storage === 'q8' ? [0.004, 0.006] : [0.08, 0.1];
    const matrices = tensors.filter(({ shape }) => shape.length > 1);
    expect(matrices.length).toBe(15);
    for (const { name, relativeError, type } of matrices) {
      expect(type).toBe(storage === 'q8' ? 'Q8_0' : 'Q4_0');
      expect(relativeError, name).toBeGreaterThan(least);
      expect(relativeError, name).toBeLessThan(most);
    }
    expect(await quantizationErrors(story, storage)).toEqual(matrices);
    // Once more from what has been written: nothing is left to round.
    const again = await quantizationErrors(own, storage);
    expect(Math.max(...again.map(({ relativeError }) => relativeError))).toBeLessThan(1e-6);
    const [before, after] = [await loadTokenizer(story), await loadTokenizer(file)];
    for (const text of ['Once upon a time, there was a girl.', ' two  spaces', '"Hi!" she said.\nThe end']) {
      if (!text.startsWith(' ')) expect(after.encode(text)).toEqual(before.encode(text));
    }
    expect(after.eosTokenIds).toEqual(before.eosTokenIds);
  });
});

test('inspect says what rounding does, and what does not fit', async () => {
  const { quantization, warnings, memory } = await inspectModel(story, { storage: 'q4' });
  expect(quantization).toEqual(await quantizationErrors(story, 'q4'));
  expect(warnings).toEqual([]);
  expect(memory.storage).toBe('q4');
  expect(await inspectModel(story)).not.toHaveProperty('quantization');
  const { warnings: ofTiny } = await inspectModel(tinyModel('llama-tiny'), { storage: 'q8' });
  expect(ofTiny).toEqual([
    '13 of 15 matrices have rows that are no whole blocks of q8; they keep 16 or 32 bits a weight',
  ]);
});

test('a byte-level tokenizer goes along', async () => {
  const file = join(temporaryFolder(), 'reviews.gguf');
  await quantizeModel({ model: reviews, out: file, format: 'gguf', storage: 'q8' });
  const [before, after] = [await loadTokenizer(reviews), await loadTokenizer(file)];
  const texts = ["It's a great film, isn't it? 10/10!", 'naïve   — café\n\n 日本 👍', '<|endoftext|>a'];
  for (const text of texts) expect(after.encode(text)).toEqual(before.encode(text));
  const model = await GgufModel.open(file);
  expect(model.metadata.get('tokenizer.ggml.pre')).toBe('gpt-2');
  await model.close();
});

test('a GGUF file is written anew with its tokenizer', async () => {
  const [from, to] = [join(temporaryFolder(), 'story.gguf'), join(temporaryFolder(), 'story-f16.gguf')];
  copyFileSync(storyGguf, from);
  await quantizeModel({ model: from, out: to, format: 'gguf', storage: 'f16' });
  expect(await logitsOf(to, 'f16')).toEqual(await logitsOf(from, 'f16'));
  expect(await openGgufConfiguration(to)).toEqual(await openGgufConfiguration(from));
});

describe('runs', () => {
  const logitsOfRun = async (run: string): Promise<Float32Array[]> => {
    const { model, optimizer } = await restoreRun(gpu, run);
    const logits = await sequenceLogits(model, tokens, optimizer.current);
    optimizer.destroy();
    model.destroy();
    return logits;
  };
  const linear = ['*_proj.weight'];
  test.each([
    { scheme: 'lora', storage: 'f32', learningRate: 1e-2, loraTargets: ['q_proj', 'v_proj', 'down_proj'] },
    { storage: 'q8', bankRank: 5, refresh: 4, learningRate: 1e-2, parameters: linear },
    { storage: 'f32', refresh: 50, learningRate: 1e-2, parameters: linear },
  ] as const)('$scheme $storage: merged, and as an adapter beside the base', async (configuration) => {
    const request = { model: story, file: writeRows(optionRows()) };
    const { run } = await trainUpTo(engine, request, { ...quick, ...configuration } as never);
    const tuned = await logitsOfRun(run);
    const base = await logitsOf(story, configuration.storage);
    expect(distance(tuned, base)).toBeGreaterThan(0.05);
    const out = temporaryFolder();
    const [merged] = await engine.exportRun({ run, format: 'gguf', storage: 'f32', out: join(out, 'merged') });
    expect(distance(await logitsOf(merged!, 'f32'), tuned)).toBeLessThan(1e-3);
    const [quantised] = await engine.exportRun({ run, format: 'gguf', storage: 'q8', out: join(out, 'q8.gguf') });
    expect(distance(await logitsOf(quantised!), tuned)).toBeLessThan(1);
    const [adapter] = await engine.exportRun({ run, format: 'gguf-lora', out: join(out, 'adapter.gguf') });
    const added = await withAdapter(await baseFile(configuration.storage), adapter!);
    expect(distance(await logitsOf(added, 'f32'), tuned)).toBeLessThan(1e-3);
    expect(await failure(engine.exportRun({ run, format: 'gguf-lora', out: adapter! }))).toContain('is there already');
  });

  test('an adapter has the rows of grouped heads as the file has them', async () => {
    const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;
    const [folder, out] = [temporaryFolder(), temporaryFolder()];
    await writeCheckpoint(folder, cases.find(({ name }) => name === 'gpt_neox: nothing but sizes')!);
    writeLetters(folder);
    const rows = Array.from({ length: 16 }, (_, row) => ({ prompt: 'ABCD', options: ['E', 'F'], label: row % 2 }));
    const { run } = await trainUpTo(
      engine,
      { model: folder, file: writeRows(rows.map((row) => `${JSON.stringify(row)}\n`).join('')) },
      { scheme: 'lora', storage: 'f32', learningRate: 1e-2, loraTargets: ['query_key_value', 'dense_4h_to_h'] },
    );
    const base = join(out, 'base.gguf');
    await quantizeModel({ model: folder, out: base, format: 'gguf', storage: 'f32' });
    const [merged] = await engine.exportRun({ run, format: 'gguf', storage: 'f32', out: join(out, 'merged.gguf') });
    const [adapter] = await engine.exportRun({ run, format: 'gguf-lora', out: join(out, 'adapter.gguf') });
    const files = await Promise.all([base, merged!, adapter!].map((path) => GgufModel.open(path)));
    const values = async (file: number, name: string): Promise<Float32Array> => {
      const { byteLength } = files[file]!.tensors.get(name)!;
      return new Float32Array((await files[file]!.read(name, 0, byteLength)).buffer);
    };
    const changed = [...files[2]!.tensors.keys()].filter((name) => name.endsWith('.lora_a'));
    expect(changed).toHaveLength(6);
    for (const name of changed.map((each) => each.replace('.lora_a', ''))) {
      const [before, after] = [await values(0, name), await values(1, name)];
      const [a, b] = [await values(2, `${name}.lora_a`), await values(2, `${name}.lora_b`)];
      const [rank, columns] = files[2]!.tensors.get(`${name}.lora_a`)!.shape as [number, number];
      const scale = Number(files[2]!.metadata.get('adapter.lora.alpha')) / rank;
      expect(Math.max(...after.map((value, at) => Math.abs(value - before[at]!)))).toBeGreaterThan(1e-4);
      for (const [at, value] of after.entries()) {
        const [row, column] = [Math.floor(at / columns), at % columns];
        let sum = before[at]!;
        for (let k = 0; k < rank; k++) sum += scale * b[row * rank + k]! * a[k * columns + column]!;
        expect(Math.abs(value - sum)).toBeLessThan(1e-6);
      }
    }
    for (const file of files) await file.close();
  });

  test('what an adapter of llama.cpp cannot hold is refused', async () => {
    const request = { model: story, file: writeRows(optionRows()) };
    const { run } = await trainUpTo(engine, request, { ...quick, storage: 'f32', refresh: 50 });
    const out = join(temporaryFolder(), 'adapter.gguf');
    expect(await failure(engine.exportRun({ run, format: 'gguf-lora', out }))).toMatch(
      /the run changes "model\..*norm.*", which is no matrix, and a GGUF adapter holds pairs of linear layers only/,
    );
    expect(existsSync(out)).toBe(false);
  });

  /** The base as a GGUF file whose values are those of the storage. */
  const baseFile = async (storage: 'f32' | 'q8'): Promise<string> => {
    const out = join(temporaryFolder(), 'base.gguf');
    await quantizeModel({ model: story, out, format: 'gguf', storage });
    return out;
  };

  /** A base with an adapter added as llama.cpp does it: W + alpha / rank · B A, tensor by tensor, in f32. */
  const withAdapter = async (base: string, adapter: string): Promise<string> => {
    const [model, change] = [await GgufModel.open(base), await GgufModel.open(adapter)];
    expect(change.metadata.get('general.type')).toBe('adapter');
    expect(change.metadata.get('adapter.type')).toBe('lora');
    const source = await openWeights(base);
    const values = async (of: GgufModel, name: string) => {
      const { byteLength, shape } = of.tensors.get(name)!;
      return { shape, data: new Float32Array((await of.read(name, 0, byteLength)).buffer) };
    };
    // Under the names of transformers: rows of queries and keys are in their order there, those of B in ggml's.
    const names = JSON.parse(
      readFileSync(fileURLToPath(new URL('../fixtures/gguf/tensor-names.json', import.meta.url)), 'utf8'),
    ).llama as Record<string, string>;
    const tensors = [];
    for (const [name, { shape, dtype }] of source.tensors) {
      const bytes = await source.read(name);
      const weight = blockFormat(dtype)?.toF32(bytes) ?? new Float32Array(bytes.buffer);
      const place = ggufName(names, name);
      if (change.tensors.has(`${place}.lora_a`)) {
        const [a, b] = [await values(change, `${place}.lora_a`), await values(change, `${place}.lora_b`)];
        const rank = a.shape[0]!;
        const scale = Number(change.metadata.get('adapter.lora.alpha')) / rank;
        const [rows, columns] = shape as [number, number];
        const heads = { attn_q: 8, attn_k: 4 }[place.split('.')[2]!];
        for (let row = 0; row < rows; row++) {
          const head = heads ? rows / heads : 1;
          const at = row % head;
          const from = heads ? row - at + (at < head / 2 ? 2 * at : 2 * (at - head / 2) + 1) : row;
          for (let column = 0; column < columns; column++) {
            let sum = 0;
            for (let k = 0; k < rank; k++) sum += b.data[from * rank + k]! * a.data[k * columns + column]!;
            weight[row * columns + column]! += scale * sum;
          }
        }
      }
      tensors.push({ name, dtype: 'F32' as const, shape, data: () => [new Uint8Array(weight.buffer)] });
    }
    await source.close();
    await model.close();
    await change.close();
    const out = temporaryFolder();
    mkdirSync(out, { recursive: true });
    await writeSafetensors(join(out, 'model.safetensors'), tensors);
    copyFileSync(join(story, 'config.json'), join(out, 'config.json'));
    return out;
  };

  const ggufName = (names: Record<string, string>, name: string): string => {
    const [, block = '', module = ''] = /^(?:model\.layers\.(\d+)\.)?(.+)\.weight$/.exec(name)!;
    const found = names[block === '' ? module : `model.layers.N.${module}`];
    return `${found!.replace('N', block)}.weight`;
  };
});

describe('what cannot be is refused by name', () => {
  const out = () => join(temporaryFolder(), 'out');

  test('architectures and folders', async () => {
    const opt = fileURLToPath(new URL('../fixtures/models/opt-tiny', import.meta.url));
    expect(await failure(quantizeModel({ model: opt, out: out(), format: 'gguf', storage: 'q8' }))).toMatch(
      /models of type "opt" cannot be written as GGUF; supported are llama, mistral/,
    );
    const there = out();
    await quantizeModel({ model: story, out: there, format: 'safetensors', storage: 'q8' });
    const again = quantizeModel({ model: story, out: there, format: 'safetensors', storage: 'q8' });
    expect(await failure(again)).toContain('already holds weights');
    const misnamed = `${out()}.gguf`;
    const folder = quantizeModel({ model: story, out: misnamed, format: 'safetensors', storage: 'q8' });
    expect(await failure(folder)).toContain('did you mean format gguf?');
    expect(existsSync(misnamed)).toBe(false);
  });

  test('a configuration that the file could not say', async () => {
    const model = out();
    mkdirSync(model, { recursive: true });
    for (const name of ['model.safetensors', 'tokenizer.json', 'tokenizer_config.json']) {
      copyFileSync(join(story, name), join(model, name));
    }
    const config = JSON.parse(readFileSync(join(story, 'config.json'), 'utf8'));
    const scaling = { rope_type: 'dynamic', factor: 2 };
    writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, rope_scaling: scaling }));
    const file = `${out()}.gguf`;
    expect(await failure(quantizeModel({ model, out: file, format: 'gguf', storage: 'q8' }))).toMatch(
      /a GGUF file of "llama" cannot say what this model's configuration does \(.*rota.* would differ\)/,
    );
    expect(existsSync(file)).toBe(false);
  });

  test('another version of our layout, and tensors that are no blocks of it', async () => {
    const model = out();
    await quantizeModel({ model: story, out: model, format: 'safetensors', storage: 'q4' });
    const file = join(model, 'model.safetensors');
    const source = await openSafetensors(file);
    const tensors = await Promise.all(
      [...source.tensors.values()].map(async ({ name, dtype, shape }) => {
        const bytes = await source.read(name);
        return { name, dtype, shape, data: () => [bytes] };
      }),
    );
    await source.close();
    await writeSafetensors(file, tensors, { subzero_blocks: '2' });
    expect(await failure(loadModel(gpu, model))).toMatch(
      /"subzero_blocks" says version 2 of subzero's blocks; this version reads 1/,
    );
    const wrong = tensors.map((tensor) =>
      tensor.name.endsWith('.q4_0') ? { ...tensor, shape: [tensor.shape[0]!, tensor.shape[1]! * 18] } : tensor,
    );
    await writeSafetensors(file, wrong, { subzero_blocks: '1' });
    expect(await failure(loadModel(gpu, model))).toMatch(/expected U8 \[rows, blocks, 18\], got U8 \[/);
    const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'));
    config.quantization_config.version = 3;
    writeFileSync(join(model, 'config.json'), JSON.stringify(config));
    expect(await failure(loadModel(gpu, model))).toMatch(/"quantization_config" says version 3/);
  });
});

test('a run on weights in our layout trains beside them and is exported in 16 bits', async () => {
  const model = join(temporaryFolder(), 'own');
  await quantizeModel({ model: story, out: model, format: 'safetensors', storage: 'q8' });
  const { run } = await trainUpTo(
    engine,
    { model, file: writeRows(optionRows()) },
    { ...quick, refresh: 4, storage: 'auto' },
  );
  const out = join(temporaryFolder(), 'tuned');
  await engine.exportRun({ run, format: 'safetensors', out });
  expect(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))).not.toHaveProperty('quantization_config');
  const { model: base, optimizer } = await restoreRun(gpu, run);
  const logits = await sequenceLogits(base, tokens, optimizer.current);
  optimizer.destroy();
  base.destroy();
  expect(distance(await logitsOf(out, 'f32'), logits)).toBeLessThan(3e-2);
  await collect(engine.train({ resume: run }));
});
