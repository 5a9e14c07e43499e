/** Training models whose layers carry a state from token to token: plans, journals, schemes and exports. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { type Parity, promptOf, writeCheckpoint } from '../parity/checkpoint.ts';
import { difference, logitsOfModel, logitsOfRun, shapesOf } from './logits.ts';
import { collect, ofType, quick, recordsOf, removeTemporary, temporaryFolder, trainUpTo, writeRows } from './tiny.ts';

const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;
const models = {
  lfm2: 'lfm2: one layer with attention',
  'qwen3.5': 'qwen3_5_text: nothing but sizes',
  'qwen3.5 that sees': 'qwen3_5: nothing but sizes',
};
type ModelName = keyof typeof models;

let gpu: Gpu;
let engine: LocalEngine;
let file: string;
const folders = {} as Record<ModelName, string>;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  file = writeRows(rows());
  for (const [name, parity] of Object.entries(models) as [ModelName, string][]) {
    folders[name] = join(temporaryFolder(), 'model');
    await writeCheckpoint(folders[name], cases.find((each) => each.name === parity)!);
  }
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

/** A text of random tokens, one character each. */
const textOf = (count: number, seed: number): string =>
  promptOf(count + seed, { vocab_size: 48 })
    .slice(seed)
    .map((id) => String.fromCodePoint(0x4e00 + id))
    .join('');

/** Options of several lengths, one of them a single token, behind prompts of several lengths. */
function rows(): string {
  return Array.from({ length: 12 }, (_, i) => {
    const options = [textOf(1, i), textOf(4, i + 1), textOf(2 + (i % 3), i + 5)];
    return `${JSON.stringify({ prompt: textOf(2 + ((5 * i) % 17), 3 * i), options, label: i % 3 })}\n`;
  }).join('');
}

async function train(model: ModelName, configuration: Partial<TrainConfiguration>, stopAfter?: number) {
  return (await trainUpTo(engine, { model: folders[model], file }, configuration, stopAfter)).run;
}

const tokens = promptOf(12, { vocab_size: 48 });

describe.each(Object.keys(models) as ModelName[])('%s', (name) => {
  test.each([
    { optimizer: 'subzero' },
    { optimizer: 'mezo', mezoUpdate: 'adam' },
    { optimizer: 'subzero-plus', queries: 3, sides: 1 },
    { scheme: 'lora' },
  ] as Partial<TrainConfiguration>[])('takes what its plan says: %o', async (configuration) => {
    const before = gpu.memory.report();
    gpu.memory.resetPeak();
    const request = { model: folders[name], data: { file }, validation: { file }, out: join(temporaryFolder(), 'run') };
    const events = await collect(engine.train({ ...request, configuration: { ...quick, steps: 4, ...configuration } }));
    const { totalBytes } = ofType(events, 'start')[0]!.plan;
    const peak = gpu.memory.report().peakBytes - (before.liveBytes - (before.byCategory.staging ?? 0));
    expect(peak).toBeLessThanOrEqual(totalBytes);
    expect(peak).toBeGreaterThan(0.8 * totalBytes);
  });

  test('goes on from its journal to the same bits', async () => {
    const whole = await train(name, { steps: 9 });
    const interrupted = await train(name, { steps: 9 }, 6);
    await collect(engine.train({ resume: interrupted }));
    expect(await recordsOf(interrupted)).toEqual(await recordsOf(whole));
    expect(await logitsOfRun(gpu, interrupted, tokens)).toEqual(await logitsOfRun(gpu, whole, tokens));
  });

  test('is exported with all of its tensors, convolutions included', async () => {
    const run = await train(name, { steps: 7, storage: 'f32', learningRate: 1e-2 });
    const out = join(temporaryFolder(), 'out');
    await engine.exportRun({ run, format: 'safetensors', out });
    const exported = await logitsOfModel(gpu, out, tokens);
    expect(difference(await logitsOfRun(gpu, run, tokens), exported)).toBeLessThan(1e-5);
    expect(difference(await logitsOfModel(gpu, folders[name], tokens), exported)).toBeGreaterThan(1e-4);
    const [before, after] = [await shapesOf(folders[name]), await shapesOf(out)];
    const convolution = Object.keys(after).find((tensor) => /conv(1d)?\.weight$/.test(tensor))!;
    expect(after[convolution]).toHaveLength(3);
    for (const [tensor, shape] of Object.entries(after)) expect([tensor, before[tensor]]).toEqual([tensor, shape]);
  });

  test('trains pairs beside the layers of both kinds', async () => {
    const loraTargets =
      name === 'lfm2' ? ['in_proj', 'out_proj', 'q_proj'] : ['in_proj_qkv', 'in_proj_a', 'out_proj', 'q_proj'];
    const run = await train(name, { scheme: 'lora', loraTargets, storage: 'f32', learningRate: 1e-2 });
    const out = join(temporaryFolder(), 'out');
    await engine.exportRun({ run, format: 'safetensors', out });
    expect(difference(await logitsOfRun(gpu, run, tokens), await logitsOfModel(gpu, out, tokens))).toBeLessThan(1e-5);
    const peft = join(temporaryFolder(), 'peft');
    await engine.exportRun({ run, format: 'peft', out: peft });
    const config = JSON.parse(readFileSync(join(peft, 'adapter_config.json'), 'utf8')) as { target_modules: string[] };
    expect(config.target_modules.length).toBeGreaterThan(2);
  });

  test('trains virtual tokens at the beginning, and refuses those of every layer', async () => {
    const run = await train(name, { scheme: 'prompt', virtualTokens: 3, learningRate: 1e-1 });
    expect(
      difference(await logitsOfRun(gpu, run, tokens), await logitsOfModel(gpu, folders[name], tokens)),
    ).toBeGreaterThan(1e-4);
    await expect(train(name, { scheme: 'prefix', virtualTokens: 3 })).rejects.toThrow(
      'scheme: "prefix" trains keys and values of every layer, and some layers of this model have none',
    );
  });
});
