/** Schemes through the training loop: journal, interruption, evaluation, generation, exports. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { AppliedUpdate, GenerateEvent } from '../../src/engine/types.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel, readConfigurationFile } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { openSafetensors } from '../../src/safetensors/index.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { axisLength } from '../../src/tensor/axis.ts';
import { restoreRun } from '../../src/train/run.ts';
import { startTokens } from '../../src/tuning/adapter.ts';
import { norm, relativeError } from '../support/zo/compare.ts';
import { withOptimizer } from '../support/zo/session.ts';
import { weightValues } from '../support/zo/weights.ts';
import {
  collect,
  completionRows,
  journalOf,
  ofType,
  optionRows,
  quick,
  recordsOf,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  trainUpTo,
  writeRows,
} from './tiny.ts';

let gpu: Gpu;
let engine: LocalEngine;
let file: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  file = writeRows(optionRows());
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

type Settings = Partial<TrainConfiguration>;

async function train(model: string, configuration: Settings, stopAfter = Number.POSITIVE_INFINITY, data = file) {
  return (await trainUpTo(engine, { model, file: data }, configuration, stopAfter)).run;
}

async function adapterOf(run: string, step?: number): Promise<Map<string, Float32Array>> {
  const { model, optimizer } = await restoreRun(gpu, run, step === undefined ? {} : { step });
  const values = await optimizer.adapterValues();
  optimizer.destroy();
  model.destroy();
  return values;
}

const tokens = [3, 17, 55, 90, 12, 7, 33, 41, 2, 96];

/** Logits of a run as it is served. */
async function logitsOfRun(run: string): Promise<Float32Array[]> {
  const { model, optimizer } = await restoreRun(gpu, run);
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

function difference(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  return Math.max(...a.map((row, index) => relativeError(row, b[index]!)));
}

async function generated(id: string, prompt: string): Promise<{ ids: number[]; logprobs: number[] }> {
  const events: GenerateEvent[] = [];
  for await (const event of engine.generate({ model: id, prompt, maxTokens: 8, temperature: 0 })) events.push(event);
  const made = events.flatMap((event) => (event.type === 'token' ? [event] : []));
  return { ids: made.map(({ id: token }) => token), logprobs: made.map(({ logprob }) => logprob) };
}

const optimizers: Settings[] = [
  { optimizer: 'subzero', weightDecay: 0.5 },
  { optimizer: 'subzero-plus', queries: 5, sides: 1, maxRows: 500 },
  { optimizer: 'mezo' },
  { optimizer: 'sparse-mezo', sparsity: 0.5 },
  { optimizer: 'hizoo', epsilon: 1e-2, queries: 2 },
];
const schemes: { title: string; model: string; settings: Settings }[] = [
  { title: 'lora', model: 'llama-tiny', settings: { scheme: 'lora' } },
  {
    title: 'lora of all layers',
    model: 'opt-postln-tiny',
    settings: {
      scheme: 'lora',
      loraTargets: ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2'],
      loraRank: 3,
      storage: 'f32',
    },
  },
  { title: 'prompt', model: 'qwen3-tiny', settings: { scheme: 'prompt', virtualTokens: 5 } },
  { title: 'prefix', model: 'qwen2-tiny', settings: { scheme: 'prefix', virtualTokens: 3, epsilon: 1e-2 } },
  { title: 'prompt', model: 'opt-postln-tiny', settings: { scheme: 'prompt', virtualTokens: 3, storage: 'f32' } },
];

describe.each(schemes)('$title on $model', ({ model: name, settings: own }) => {
  test.each(optimizers)('$optimizer: the journal is all of it', async (optimizer) => {
    const settings = { ...own, ...optimizer };
    const model = tinyModel(name);
    const whole = await train(model, settings);
    const { header, records } = await journalOf(whole);
    expect(header.configuration).toMatchObject(settings);
    expect(records).toHaveLength(quick.steps);
    const values = await adapterOf(whole);
    const start = await adapterOf(whole, 0);
    expect(values.size).toBeGreaterThan(0);
    for (const [tensor, tuned] of values) {
      expect(relativeError(tuned, start.get(tensor)!) || norm(tuned), tensor).toBeGreaterThan(1e-6);
      expect(Number.isFinite(norm(tuned))).toBe(true);
    }
    // Interrupted and continued.
    const interrupted = await train(model, settings, 7);
    const events = await collect(engine.train({ resume: interrupted }));
    expect(ofType(events, 'step').map(({ step }) => step)).toEqual([8, 9, 10, 11, 12]);
    expect(await recordsOf(interrupted)).toEqual(records);
    expect(await adapterOf(interrupted)).toEqual(values);
    // Any step.
    expect(await adapterOf(whole, 6)).toEqual(await adapterOf(await train(model, { ...settings, steps: 6 })));
  });

  test('is served at any step: evaluation, generation, embeddings', async () => {
    const model = tinyModel(name);
    const run = await train(model, { ...own, learningRate: 0.3, epsilon: 1e-2 });
    await engine.loadModel({ id: 'tuned', path: run });
    await engine.loadModel({ id: 'start', path: run, step: 0 });
    await engine.loadModel({ id: 'base', path: model });
    const evaluate = (id: string) => engine.evaluate({ model: id, data: { file }, limit: 8 });
    const { loss } = await evaluate('tuned');
    expect(loss).not.toBe((await evaluate('start')).loss);
    // A text made with the cache has the log-probabilities of a pass without.
    const { ids, logprobs } = await generated('tuned', 'good film, it');
    expect(ids).not.toEqual((await generated('base', 'good film, it')).ids);
    const prompt = await engine.tokenize('tuned', 'good film, it');
    const restored = await restoreRun(gpu, run);
    const rows = await sequenceLogits(restored.model, [...prompt, ...ids], restored.optimizer.current);
    restored.optimizer.destroy();
    restored.model.destroy();
    for (const [index, id] of ids.entries()) {
      const row = rows[prompt.length - 1 + index]!;
      const highest = Math.max(...row);
      const logSum = highest + Math.log(row.reduce((sum, value) => sum + Math.exp(value - highest), 0));
      expect(row[id]! - logSum).toBeCloseTo(logprobs[index]!, 4);
    }
    const [a, b] = await Promise.all(
      ['tuned', 'base'].map((id) => engine.embed({ model: id, inputs: ['warm'], pooling: 'mean' })),
    );
    expect(relativeError(a!.vectors[0]!, b!.vectors[0]!)).toBeGreaterThan(1e-4);
    for (const id of ['tuned', 'start', 'base']) await engine.unloadModel(id);
  });

  test('step by step, and again from its numbers', async () => {
    const model = tinyModel(name);
    const configuration = { ...quick, ...own, learningRate: 0.1 };
    const data = [{ prompt: 'good film, it was', options: [' bad', ' great'], label: 1 }];
    for (const id of ['steps', 'again']) await engine.createRun({ id, model, configuration });
    const { loss: before } = await engine.forwardRun('steps', data);
    const records: AppliedUpdate[] = [];
    for (let step = 0; step < 6; step++) records.push((await engine.stepRun('steps', data)).record);
    const { loss } = await engine.forwardRun('steps', data);
    expect(loss).not.toBe(before);
    await engine.replayRun('again', records);
    expect((await engine.forwardRun('again', data)).loss).toBe(loss);
    expect((await generated('again', 'good')).ids).toEqual((await generated('steps', 'good')).ids);
    for (const id of ['steps', 'again']) await engine.unloadModel(id);
  });

  test('completions train as well, and the plan says what it takes', async () => {
    const run = join(temporaryFolder(), 'run');
    const data = { file: writeRows(completionRows()) };
    const request = { model: tinyModel(name), data, configuration: { ...quick, ...own, steps: 3 }, out: run };
    const events = await collect(engine.train(request));
    const [start] = ofType(events, 'start');
    expect(start!.plan.factorBytes).toBeGreaterThan(0);
    expect(ofType(events, 'done')[0]).toMatchObject({ outcome: 'finished', step: 3 });
  });
});

describe('prefix tuning', () => {
  test.each(['llama-tiny', 'opt-tiny-f32', 'mistral-tiny', 'qwen3-tiny', 'qwen3-odd-tiny', 'opt-odd-tiny'])(
    'a fresh prefix is that of real tokens in front: %s',
    async (name) => {
      const settings = { model: name, ...quick, scheme: 'prefix', virtualTokens: 6 } as const;
      await withOptimizer(gpu, settings, async ({ model, optimizer }) => {
        const leading = startTokens(model.decoder, { ...settings });
        const prefixed = await sequenceLogits(model, tokens, optimizer.current);
        const plain = await sequenceLogits(model, [...leading, ...tokens]);
        expect(difference(prefixed, plain.slice(6))).toBeLessThan(1e-5);
      });
    },
  );

  test('as a PEFT adapter; weights cannot hold it', async () => {
    const run = await train(tinyModel('qwen2-tiny'), { scheme: 'prefix', optimizer: 'mezo' });
    const out = join(temporaryFolder(), 'adapter');
    await engine.exportRun({ run, format: 'peft', out });
    const config = JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({ peft_type: 'PREFIX_TUNING', num_virtual_tokens: 5, num_layers: 2 });
    const source = await openSafetensors(join(out, 'adapter_model.safetensors'));
    const bytes = await source.read('prompt_embeddings');
    await source.close();
    const rows = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const values = await adapterOf(run);
    const width = config.token_dim as number;
    const row = (part: number, token: number) => rows.slice((token * 4 + part) * width, (token * 4 + part + 1) * width);
    for (const [part, name] of ['prefix.0.keys', 'prefix.0.values', 'prefix.1.keys', 'prefix.1.values'].entries()) {
      const expected = values.get(name)!;
      for (const token of [0, 4]) expect(row(part, token)).toEqual(expected.slice(token * width, (token + 1) * width));
    }
    const refused = join(temporaryFolder(), 'out');
    const weights = engine.exportRun({ run, format: 'safetensors', out: refused });
    await expect(weights).rejects.toMatchObject({ code: 'unsupported', parameter: 'format' });
    expect(existsSync(refused)).toBe(false);
  });
});

describe('prompt tuning', () => {
  test('starts from embeddings of the model', async () => {
    const run = await train(tinyModel('qwen3-tiny'), { scheme: 'prompt', virtualTokens: 4, steps: 1 });
    const { model, optimizer } = await restoreRun(gpu, run, { step: 0 });
    const start = (await optimizer.adapterValues()).get('prompt_embeddings')!;
    const table = await weightValues(model, model.weight(model.decoder.embedding.weight));
    const width = axisLength(model.decoder.embedding.columns);
    const rows = Array.from({ length: table.length / width }, (_, row) =>
      table.subarray(row * width, (row + 1) * width),
    );
    for (let token = 0; token < 4; token++) {
      const values = start.subarray(token * width, (token + 1) * width);
      expect(rows.some((row) => row.every((value, column) => value === values[column]))).toBe(true);
    }
    optimizer.destroy();
    model.destroy();
  });

  test.each(['mistral-tiny', 'qwen3-odd-tiny', 'opt-odd-tiny'])(
    'a fresh prompt is that of real tokens in front: %s',
    async (name) => {
      const settings = { model: name, ...quick, scheme: 'prompt', virtualTokens: 12 } as const;
      await withOptimizer(gpu, settings, async ({ model, optimizer }) => {
        const leading = startTokens(model.decoder, { ...settings });
        const prompted = await sequenceLogits(model, tokens, optimizer.current);
        const plain = await sequenceLogits(model, [...leading, ...tokens]);
        expect(difference(prompted, plain.slice(12))).toBeLessThan(1e-6);
      });
    },
  );

  test('takes its tokens from the context, and says so', async () => {
    const model = tinyModel();
    const { contextLength } = await readConfigurationFile(model);
    const taken: Settings = { scheme: 'prompt', virtualTokens: 9 };
    const run = await train(model, { ...taken, steps: 1 });
    const { contextLength: left } = await engine.loadModel({ id: 'prompted', path: run });
    expect(left).toBe(contextLength - 9);
    const long = 'a'.repeat(left);
    await expect(generated('prompted', long)).rejects.toThrow(/beside its 9 virtual tokens/);
    expect((await generated('prompted', long.slice(1))).ids.length).toBeLessThanOrEqual(1);
    const embed = (input: string) => engine.embed({ model: 'prompted', inputs: [input], pooling: 'last' });
    expect((await embed(long)).tokens).toBe(left);
    await expect(embed(`${long}a`)).rejects.toMatchObject({ code: 'context_length_exceeded', parameter: 'input' });
    await engine.unloadModel('prompted');
    await expect(train(model, { ...taken, virtualTokens: contextLength - 1 })).rejects.toMatchObject({
      code: 'invalid_argument',
      parameter: 'virtualTokens',
    });
  });

  test('as a PEFT adapter; weights cannot hold it', async () => {
    const run = await train(tinyModel(), { scheme: 'prompt', virtualTokens: 3, optimizer: 'mezo' });
    const out = join(temporaryFolder(), 'adapter');
    await engine.exportRun({ run, format: 'peft', out });
    const config = JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({ peft_type: 'PROMPT_TUNING', num_virtual_tokens: 3, task_type: 'CAUSAL_LM' });
    const source = await openSafetensors(join(out, 'adapter_model.safetensors'));
    const bytes = await source.read('prompt_embeddings');
    await source.close();
    const values = (await adapterOf(run)).get('prompt_embeddings')!;
    expect(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)).toEqual(values);
    const weights = engine.exportRun({ run, format: 'safetensors', out: join(temporaryFolder(), 'out') });
    await expect(weights).rejects.toMatchObject({ code: 'unsupported', parameter: 'format' });
  });
});

describe('LoRA', () => {
  test('a fresh pair changes nothing', async () => {
    const model = tinyModel();
    const run = await train(model, { scheme: 'lora', steps: 1, learningRate: 0 });
    expect(difference(await logitsOfRun(run), await logitsOfModel(model))).toBeLessThan(1e-6);
  });

  test.each([
    { name: 'llama-tiny', targets: [] },
    { name: 'opt-tiny-f32', targets: ['fc1', 'q_proj'] },
    { name: 'qwen3-odd-tiny', targets: ['o_proj', 'q_proj', 'v_proj', 'up_proj', 'down_proj'] },
  ])('merged into $name', async ({ name, targets }) => {
    const own = { loraTargets: targets, storage: 'f32' } as const;
    const settings: Settings = { scheme: 'lora', ...own, learningRate: 0.3, epsilon: 1e-2 };
    const model = tinyModel(name);
    const run = await train(model, settings);
    const out = join(temporaryFolder(), 'merged');
    await engine.exportRun({ run, format: 'safetensors', out });
    const [served, merged, base] = [await logitsOfRun(run), await logitsOfModel(out), await logitsOfModel(model)];
    expect(difference(served, base)).toBeGreaterThan(1e-3);
    expect(difference(served, merged)).toBeLessThan(1e-5);
  });

  test('as a PEFT adapter', async () => {
    const settings: Settings = { scheme: 'lora', loraRank: 2, loraAlpha: 6, learningRate: 0.1, refresh: 4 };
    const run = await train(tinyModel(), settings);
    const out = join(temporaryFolder(), 'adapter');
    await engine.exportRun({ run, format: 'peft', out });
    const config = JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({ peft_type: 'LORA', r: 2, lora_alpha: 6, task_type: 'CAUSAL_LM' });
    expect(config.target_modules).toContain('model.layers.1.self_attn.v_proj');
    expect(config.target_modules).toHaveLength(4);
    const values = await adapterOf(run);
    const source = await openSafetensors(join(out, 'adapter_model.safetensors'));
    expect(source.tensors.size).toBe(values.size);
    for (const [name, expected] of values) {
      const bytes = await source.read(`base_model.model.${name}`);
      expect(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4), name).toEqual(expected);
    }
    await source.close();
  });

  test.each<[Settings, string]>([
    [{ loraTargets: ['query'] }, 'loraTargets'],
    [{ loraRank: 0 }, 'loraRank'],
    [{ parameters: ['*'] }, 'parameters'],
  ])('%j is refused', async (settings, parameter) => {
    await expect(train(tinyModel(), { scheme: 'lora', ...settings })).rejects.toMatchObject({
      code: 'invalid_argument',
      parameter,
    });
  });
});
