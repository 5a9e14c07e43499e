/**
 * Training models whose layers have keys and values of other layers, inputs of their own and heads of several widths:
 * plans, journals, schemes and exports.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { fixedParameters } from '../../src/model/parameters.ts';
import { openSafetensors } from '../../src/safetensors/index.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { inspectModel } from '../../src/train/inspect.ts';
import { startTokens } from '../../src/tuning/adapter.ts';
import { openJournal } from '../../src/zo/journal.ts';
import { type Parity, promptOf, writeCheckpoint } from '../parity/checkpoint.ts';
import { withOptimizer } from '../support/zo/session.ts';
import { difference, logitsOfModel, logitsOfRun, shapesOf } from './logits.ts';
import { collect, ofType, quick, removeTemporary, temporaryFolder, trainUpTo, writeRows } from './tiny.ts';

const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;
const models = {
  'gemma 4 that sees': 'gemma4: shared keys, wide feed-forward layers',
  'gemma 4 unified': 'gemma4_unified_text: keys as values, key heads of their own',
};
type ModelName = keyof typeof models;

let gpu: Gpu;
let engine: LocalEngine;
let file: string;
const folders = {} as Record<ModelName, string>;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  const textOf = (count: number, seed: number): string =>
    promptOf(count + seed, { vocab_size: 48 })
      .slice(seed)
      .map((id) => String.fromCodePoint(0x4e00 + id))
      .join('');
  const row = (i: number) => ({ prompt: textOf(2 + ((5 * i) % 17), 3 * i), options: [textOf(1, i), textOf(4, i + 1)] });
  file = writeRows(Array.from({ length: 12 }, (_, i) => `${JSON.stringify({ ...row(i), label: i % 2 })}\n`).join(''));
  for (const [name, parity] of Object.entries(models) as [ModelName, string][]) {
    folders[name] = join(temporaryFolder(), 'model');
    await writeCheckpoint(folders[name], cases.find((each) => each.name === parity)!);
  }
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

async function train(model: ModelName, configuration: Partial<TrainConfiguration>, stopAfter?: number) {
  return (await trainUpTo(engine, { model: folders[model], file }, configuration, stopAfter)).run;
}

const tokens = promptOf(12, { vocab_size: 48 });

/** The values of the tensors that nothing trains, in the file of a model. */
async function factorsOf(directory: string): Promise<Record<string, Uint8Array>> {
  const source = await openSafetensors(join(directory, 'model.safetensors'));
  const names = [...source.tensors.keys()].filter((name) => name.endsWith('.layer_scalar'));
  const factors = await Promise.all(names.map(async (name) => [name, await source.read(name)] as const));
  await source.close();
  return Object.fromEntries(factors);
}

describe.each(Object.keys(models) as ModelName[])('%s', (name) => {
  test.each([{ optimizer: 'subzero' }, { optimizer: 'mezo', mezoUpdate: 'adam' }] as Partial<TrainConfiguration>[])(
    'takes what its plan says: %o',
    async (configuration) => {
      const before = gpu.memory.report();
      gpu.memory.resetPeak();
      const request = {
        model: folders[name],
        data: { file },
        validation: { file },
        out: join(temporaryFolder(), 'run'),
      };
      const events = await collect(
        engine.train({ ...request, configuration: { ...quick, steps: 4, ...configuration } }),
      );
      const { totalBytes } = ofType(events, 'start')[0]!.plan;
      const peak = gpu.memory.report().peakBytes - (before.liveBytes - (before.byCategory.staging ?? 0));
      expect(peak).toBeLessThanOrEqual(totalBytes);
      expect(peak).toBeGreaterThan(0.8 * totalBytes);
    },
  );

  test('goes on from its journal to the same bits', async () => {
    const whole = await train(name, { steps: 7 });
    const interrupted = await train(name, { steps: 7 }, 5);
    await collect(engine.train({ resume: interrupted }));
    const recordsOf = async (run: string) => (await openJournal(join(run, 'journal.subzero'))).records;
    expect(await recordsOf(interrupted)).toEqual(await recordsOf(whole));
    expect(await logitsOfRun(gpu, interrupted, tokens)).toEqual(await logitsOfRun(gpu, whole, tokens));
  });

  test.each(['subzero', 'mezo'] as const)(
    'is exported with all of its tensors, of which the factors of whole layers do not train: %s',
    async (optimizer) => {
      const run = await train(name, { steps: 7, storage: 'f32', learningRate: 1e-2, optimizer });
      const out = join(temporaryFolder(), 'out');
      await engine.exportRun({ run, format: 'safetensors', out });
      const exported = await logitsOfModel(gpu, out, tokens);
      expect(difference(await logitsOfRun(gpu, run, tokens), exported)).toBeLessThan(1e-5);
      expect(difference(await logitsOfModel(gpu, folders[name], tokens), exported)).toBeGreaterThan(1e-4);
      const after = await shapesOf(out);
      const before = await shapesOf(folders[name]);
      for (const [tensor, shape] of Object.entries(after)) expect([tensor, before[tensor]]).toEqual([tensor, shape]);
      const factors = await factorsOf(out);
      expect(Object.keys(factors).length).toBeGreaterThan(1);
      expect(factors).toEqual(await factorsOf(folders[name]));
    },
  );

  test('trains pairs beside the layers that have the names', async () => {
    const own = name === 'gemma 4 unified' ? ['k_proj'] : ['per_layer_input_gate', 'per_layer_projection', 'k_proj'];
    for (const loraTargets of [[], [...own, 'q_proj', 'down_proj']]) {
      const run = await train(name, { scheme: 'lora', loraTargets, storage: 'f32', learningRate: 1e-2 });
      const out = join(temporaryFolder(), 'out');
      await engine.exportRun({ run, format: 'safetensors', out });
      expect(difference(await logitsOfRun(gpu, run, tokens), await logitsOfModel(gpu, out, tokens))).toBeLessThan(1e-5);
      const peft = join(temporaryFolder(), 'peft');
      await engine.exportRun({ run, format: 'peft', out: peft });
      const config = JSON.parse(readFileSync(join(peft, 'adapter_config.json'), 'utf8')) as {
        target_modules: string[];
      };
      expect(config.target_modules.length).toBeGreaterThan(1);
    }
  });

  test('trains virtual tokens at the beginning', async () => {
    const run = await train(name, { scheme: 'prompt', virtualTokens: 3, learningRate: 1e-1 });
    const trained = await logitsOfRun(gpu, run, tokens);
    expect(difference(trained, await logitsOfModel(gpu, folders[name], tokens))).toBeGreaterThan(1e-4);
    // Their inputs of layers are the same whatever lay in memory before.
    expect(await logitsOfRun(gpu, run, tokens)).toEqual(trained);
  });

  test('trains the keys and values of virtual tokens, which start as those of real ones', async () => {
    const settings = { model: folders[name], ...quick, scheme: 'prefix', virtualTokens: 6 } as const;
    await withOptimizer(gpu, settings, async ({ model, optimizer }) => {
      const prefixed = await sequenceLogits(model, tokens, optimizer.current);
      const plain = await sequenceLogits(model, [...startTokens(model.decoder, settings), ...tokens]);
      expect(difference(prefixed, plain.slice(6))).toBeLessThan(1e-5);
    });
    const run = await train(name, { scheme: 'prefix', virtualTokens: 3, learningRate: 1e-1 });
    expect(
      difference(await logitsOfRun(gpu, run, tokens), await logitsOfModel(gpu, folders[name], tokens)),
    ).toBeGreaterThan(1e-5);
    await expect(engine.exportRun({ run, format: 'peft', out: join(temporaryFolder(), 'out') })).rejects.toThrow(
      /prefix of PEFT has keys and values of one width for every layer/,
    );
  });
});

test('factors of whole layers cannot be named as what trains', async () => {
  const run = train('gemma 4 that sees', { parameters: ['*.layer_scalar'] });
  await expect(run).rejects.toThrow('no parameter of the model fits');
});

test('inspect tells the heads of both kinds of layers', async () => {
  const { attention, otherAttention, layers } = await inspectModel(folders['gemma 4 that sees']);
  expect(attention).toEqual({ heads: 4, keyHeads: 2, headWidth: 8 });
  expect(otherAttention).toEqual([{ heads: 4, keyHeads: 2, headWidth: 16 }]);
  expect(layers).toEqual({ blocks: 4, attention: 4, 'feed-forward': 4, 'layer-input': 4 });
});

test('every layer has its factor', async () => {
  await withOptimizer(gpu, { model: folders['gemma 4 that sees'], ...quick }, async ({ model }) => {
    expect(fixedParameters(model.decoder).size).toBe(model.decoder.blocks.length);
  });
});
