/** Training models with experts: plans, journals, schemes, exports, and texts beside each other. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { type Parity, promptOf, writeCheckpoint } from '../parity/checkpoint.ts';
import { difference, logitsOfModel, logitsOfRun, shapesOf } from './logits.ts';
import { collect, ofType, quick, recordsOf, removeTemporary, temporaryFolder, trainUpTo, writeRows } from './tiny.ts';

const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;
const models = { 'qwen3 moe': 'qwen3_moe: nothing but sizes', 'gpt-oss': 'gpt_oss: nothing but sizes' };
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

describe.each(Object.keys(models) as ModelName[])('%s', (name) => {
  test.each([{ optimizer: 'subzero' }, { optimizer: 'mezo' }] as Partial<TrainConfiguration>[])(
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
      const settings = { ...quick, steps: 4, ...configuration };
      const events = await collect(engine.train({ ...request, configuration: settings }));
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
    expect(await recordsOf(interrupted)).toEqual(await recordsOf(whole));
    expect(await logitsOfRun(gpu, interrupted, tokens)).toEqual(await logitsOfRun(gpu, whole, tokens));
  });

  test('is exported in the layout that it came in', async () => {
    const run = await train(name, { steps: 7, storage: 'f32', learningRate: 1e-2 });
    const out = join(temporaryFolder(), 'out');
    await engine.exportRun({ run, format: 'safetensors', out });
    const exported = await logitsOfModel(gpu, out, tokens);
    expect(difference(await logitsOfRun(gpu, run, tokens), exported)).toBeLessThan(1e-5);
    expect(difference(await logitsOfModel(gpu, folders[name], tokens), exported)).toBeGreaterThan(1e-4);
    expect(await shapesOf(out)).toEqual(await shapesOf(folders[name]));
  });

  test('trains pairs beside attention, and refuses those that PEFT would not find', async () => {
    const run = await train(name, { scheme: 'lora', steps: 3, storage: 'f32', learningRate: 1e-2 });
    const out = join(temporaryFolder(), 'out');
    await engine.exportRun({ run, format: 'safetensors', out });
    expect(difference(await logitsOfRun(gpu, run, tokens), await logitsOfModel(gpu, out, tokens))).toBeLessThan(1e-5);
    const [router, part] = name === 'gpt-oss' ? ['router', 'gate_up_proj.1'] : ['gate', 'gate_proj'];
    for (const target of [router, part]) {
      const refused = train(name, { scheme: 'lora', loraTargets: [target] });
      await expect(refused).rejects.toThrow(/no pair can stand: PEFT does not find it by this name/);
    }
  });

  test.each(['prompt', 'prefix'] as const)('trains virtual tokens: %s', async (scheme) => {
    const run = await train(name, { scheme, virtualTokens: 3, steps: 3, learningRate: 1e-1 });
    expect(
      difference(await logitsOfRun(gpu, run, tokens), await logitsOfModel(gpu, folders[name], tokens)),
    ).toBeGreaterThan(1e-5);
  });

  test('gives a text the same bits whatever is beside it', async () => {
    const model = await loadModel(gpu, folders[name]);
    const scores = async (texts: number[][]): Promise<Float32Array[]> => {
      const found: Float32Array[] = [];
      for (const text of texts) found.push((await sequenceLogits(model, text)).at(-1)!);
      return found;
    };
    const [long] = await scores([tokens]);
    const [short] = await scores([tokens.slice(0, 5)]);
    const rows = await sequenceLogits(model, tokens);
    expect(rows.at(-1)).toEqual(long);
    if (gpu.kernelStyle === 'software') expect(rows[4]).toEqual(short);
    model.destroy();
  });
});
