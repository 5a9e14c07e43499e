/** LoRA runs that go on from an adapter of PEFT: what they begin as, and that they come back to the same bits. */

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { restoreRun } from '../../src/train/run.ts';
import { readPeftLora } from '../../src/tuning/peft-lora.ts';
import { relativeError } from '../support/zo/compare.ts';
import { ofType, optionRows, removeTemporary, temporaryFolder, tinyModel, trainUpTo, writeRows } from './tiny.ts';

const adapters = fileURLToPath(new URL('../fixtures/peft-adapters/', import.meta.url));

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

const train = (model: string, lora: string | undefined, settings: Partial<TrainConfiguration>) =>
  trainUpTo(
    engine,
    { model, file, validation: { file }, ...(lora ? { lora } : {}) },
    { scheme: 'lora', steps: 6, ...settings },
  );

async function valuesOf(run: string, step?: number): Promise<Map<string, Float32Array>> {
  const { model, optimizer } = await restoreRun(gpu, run, step === undefined ? {} : { step });
  const values = await optimizer.adapterValues();
  optimizer.destroy();
  model.destroy();
  return values;
}

describe.each([
  { name: 'all-linear', base: 'llama-tiny', optimizer: 'subzero' },
  { name: 'expression', base: 'opt-tiny-f32', optimizer: 'mezo' },
] as const)('from $name by $optimizer', ({ name, base, optimizer }) => {
  let model: string;
  let lora: string;
  let run: string;
  beforeAll(async () => {
    model = tinyModel(base);
    lora = join(temporaryFolder(), 'adapter');
    cpSync(join(adapters, name), lora, { recursive: true });
    ({ run } = await train(model, lora, { optimizer, evaluateEvery: 3 }));
  });

  test('it begins with the loss of the adapter, not of the base', async () => {
    await engine.loadModel({ id: `with ${name}`, path: model, lora });
    await engine.loadModel({ id: `without ${name}`, path: model });
    const lossOf = async (id: string) => (await engine.evaluate({ model: id, data: { file } })).loss;
    // A learning rate of 0 leaves all as it was.
    const { events: still } = await train(model, lora, { optimizer, steps: 1, learningRate: 0 });
    const first = ofType(still, 'evaluation').at(-1)!;
    expect(first.loss).toBeCloseTo(await lossOf(`with ${name}`), 5);
    expect(Math.abs(first.loss - (await lossOf(`without ${name}`)))).toBeGreaterThan(1e-3);
    await engine.unloadModel(`with ${name}`);
    await engine.unloadModel(`without ${name}`);
  });

  test('it goes on where it stopped to the same bits, and forks keep the start', async () => {
    const whole = await valuesOf(run);
    const half = await train(model, lora, { optimizer, evaluateEvery: 3, steps: 3 });
    for await (const _ of engine.train({ resume: half.run, steps: 6 }));
    expect(await valuesOf(half.run)).toEqual(whole);
    const out = join(temporaryFolder(), 'fork');
    for await (const _ of engine.train({ fork: run, step: 2, configuration: {}, out }));
    expect(await valuesOf(out)).toEqual(whole);
    expect(await valuesOf(run, 2)).not.toEqual(whole);
  });

  test('its export is an adapter of PEFT with the same ranks and factors', async () => {
    const out = join(temporaryFolder(), 'peft');
    await engine.exportRun({ run, format: 'peft', out });
    const { model: restored, optimizer: made } = await restoreRun(gpu, run);
    const read = await readPeftLora(out, restored.decoder);
    const values = await made.adapterValues();
    expect(new Map(read.tensors.map((tensor) => [tensor.name, tensor.values]))).toEqual(values);
    const before = await readPeftLora(lora, restored.decoder);
    for (const [weight, pair] of before.lora!) {
      const again = read.lora!.get(weight)!;
      expect(again.rank).toBe(pair.rank);
      expect(again.scale).toBeCloseTo(pair.scale, 12);
    }
    const moved = before.tensors.filter(({ name, values: old }) => relativeError(old, [...values.get(name)!]) > 1e-6);
    expect(moved.length).toBeGreaterThan(before.tensors.length / 2);
    made.destroy();
    restored.destroy();
  });

  test('an adapter that has changed is told', async () => {
    const config = join(lora, 'adapter_config.json');
    const text = readFileSync(config, 'utf8');
    writeFileSync(config, text.replace(/"lora_alpha": \d+/, '"lora_alpha": 9'));
    await expect(restoreRun(gpu, run)).rejects.toThrow(/the adapter .* has changed since; put the old one back/);
    writeFileSync(config, text);
  });
});

test('is for LoRA alone', async () => {
  const model = tinyModel('llama-tiny');
  await expect(train(model, join(adapters, 'all-linear'), { scheme: 'full' })).rejects.toThrow(
    'an adapter is the start of a run with scheme lora; got full',
  );
  await expect(train(model, join(adapters, 'expression'), {})).rejects.toThrow('does not belong to this model');
});
