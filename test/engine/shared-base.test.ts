import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { collect, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

let engine: LocalEngine;
let base: string;
let file: string;

beforeAll(async () => {
  engine = new LocalEngine(await Gpu.open());
  base = tinyModel();
  file = writeRows(optionRows());
});
afterEach(async () => {
  for (const { id } of await engine.models()) await engine.unloadModel(id);
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

async function trained(configuration: Partial<TrainConfiguration>): Promise<string> {
  const out = join(temporaryFolder(), 'run');
  await collect(engine.train({ model: base, data: { file }, configuration: { ...quick, ...configuration }, out }));
  return out;
}

async function text(model: string): Promise<string> {
  let whole = '';
  for await (const event of engine.generate({
    model,
    prompt: 'a film',
    maxTokens: 20,
    seed: 5,
    logitBias: { 0: -100 },
  })) {
    if (event.type === 'done') whole = event.text;
  }
  return whole;
}

const weightBytes = async (): Promise<number> => (await engine.info()).memory.byCategory.weights ?? 0;
const sharing = async (): Promise<Record<string, string[]>> =>
  Object.fromEntries((await engine.models()).map(({ id, sharesWeightsWith }) => [id, sharesWeightsWith]));

test('runs within their first period, and adapters, read the base model where it is', async () => {
  // A high rate, so that a text of the base model would be another.
  const early = await trained({ steps: 4, learningRate: 0.05 });
  const adapter = await trained({ steps: 8, scheme: 'lora', learningRate: 0.05 });
  const alone: Record<string, string> = {};
  for (const [id, path] of Object.entries({ base, early, adapter })) {
    await engine.loadModel({ id, path });
    alone[id] = await text(id);
    await engine.unloadModel(id);
  }
  expect(new Set(Object.values(alone)).size).toBe(3);
  const before = await weightBytes();

  const info = await engine.loadModel({ id: 'base', path: base });
  const once = (await weightBytes()) - before;
  expect(info.sharesWeightsWith).toEqual([]);
  expect(info.weightBytes).toBeGreaterThanOrEqual(once);
  await engine.loadModel({ id: 'early', path: early });
  await engine.loadModel({ id: 'adapter', path: adapter });
  expect((await weightBytes()) - before).toBe(once);
  expect(await sharing()).toEqual({
    base: ['early', 'adapter'],
    early: ['base', 'adapter'],
    adapter: ['base', 'early'],
  });
  const together = await Promise.all(Object.keys(alone).map(async (id) => [id, await text(id)]));
  expect(Object.fromEntries(together)).toEqual(alone);

  // The weights stay as long as one of them is loaded, whichever it is.
  await engine.unloadModel('base');
  await engine.unloadModel('adapter');
  expect((await weightBytes()) - before).toBe(once);
  expect(await text('early')).toBe(alone.early);
  await engine.loadModel({ id: 'again', path: adapter });
  expect((await weightBytes()) - before).toBe(once);
  expect(await text('again')).toBe(alone.adapter);
  await engine.unloadModel('early');
  await engine.unloadModel('again');
  expect(await weightBytes()).toBe(before);
});

test.each([
  ['a run that has folded', { steps: 6 }],
  ['MeZO, which writes the weights with every step', { steps: 1, optimizer: 'mezo' }],
  ['another storage', { steps: 1, storage: 'bf16' }],
] as const)('%s has weights of its own', async (_, configuration) => {
  const run = await trained(configuration);
  await engine.loadModel({ id: 'base', path: base });
  const [once, plain] = [await weightBytes(), await text('base')];
  await engine.loadModel({ id: 'run', path: run });
  expect(await weightBytes()).toBeGreaterThan(once);
  expect(await sharing()).toEqual({ base: [], run: [] });
  await text('run');
  expect(await text('base')).toBe(plain);
});

test('an early step of a run that folded later shares', async () => {
  const run = await trained({ steps: 6 });
  await engine.loadModel({ id: 'base', path: base });
  await engine.loadModel({ id: 'at 5', path: run, step: 5 });
  await engine.loadModel({ id: 'at 6', path: run, step: 6 });
  expect(await sharing()).toEqual({ base: ['at 5'], 'at 5': ['base'], 'at 6': [] });
});

test('the same weights in another folder are another model', async () => {
  const other = tinyModel('llama-tiny');
  await engine.loadModel({ id: 'other', path: other });
  const run = await trained({ steps: 2 });
  await engine.loadModel({ id: 'run', path: run });
  expect(await sharing()).toEqual({ other: [], run: [] });
});
