/**
 * A GGUF file as the base of training: what people do with it, from the first step to an export that other programs
 * read.
 */

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { restoreRun } from '../../src/train/run.ts';
import { collect, ofType, optionRows, removeTemporary, temporaryFolder, trainUpTo, writeRows } from './tiny.ts';

const fixture = fileURLToPath(new URL('../fixtures/gguf/tinystories-656k-q8_0.gguf', import.meta.url));

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

const tokens = [1, 80, 147, 201, 282, 215, 286, 704, 294, 847];

async function logitsOf(directory: string): Promise<Float32Array[]> {
  const model = await loadModel(gpu, directory);
  const logits = await sequenceLogits(model, tokens);
  model.destroy();
  return logits;
}

async function logitsOfRun(run: string): Promise<Float32Array[]> {
  const { model, optimizer } = await restoreRun(gpu, run);
  const logits = await sequenceLogits(model, tokens, optimizer.current);
  optimizer.destroy();
  model.destroy();
  return logits;
}

const largest = (a: readonly Float32Array[], b: readonly Float32Array[]): number =>
  Math.max(...a.map((row, i) => Math.max(...row.map((value, j) => Math.abs(value - b[i]![j]!)))));

test.each<[string, Partial<TrainConfiguration>, number]>([
  ['all parameters in f32', { storage: 'f32' }, 1e-3],
  // Exports write the values of blocks in 16 bits.
  ['all parameters, whose change is kept beside blocks of 8 bits', {}, 2e-2],
  ['LoRA beside blocks of 8 bits', { scheme: 'lora', learningRate: 1e-2 }, 2e-2],
])('%s: trains, goes on, and is exported', async (_, configuration, tolerance) => {
  const model = join(temporaryFolder(), 'story.gguf');
  copyFileSync(fixture, model);
  const file = writeRows(optionRows());
  const { run, events } = await trainUpTo(engine, { model, file }, { ...configuration, steps: 8 });
  expect(ofType(events, 'step')).toHaveLength(8);
  const cut = await trainUpTo(engine, { model, file }, { ...configuration, steps: 8 }, 3);
  await collect(engine.train({ resume: cut.run }));
  expect(readFileSync(join(cut.run, 'journal.subzero'))).toEqual(readFileSync(join(run, 'journal.subzero')));
  const tuned = await logitsOfRun(run);
  expect(largest(tuned, await logitsOf(model))).toBeGreaterThan(1e-3);

  const out = join(temporaryFolder(), 'out');
  const files = await engine.exportRun({ run, format: 'safetensors', out });
  expect(files.map((path) => path.slice(out.length + 1)).sort()).toEqual([
    ...['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'],
  ]);
  expect(largest(await logitsOf(out), tuned)).toBeLessThan(tolerance);
  const [before, after] = [await loadTokenizer(model), await loadTokenizer(out)];
  const text = '  Once upon a time,\n<|start_story|> there was é and 😀.<|end_story|>';
  expect(after.encode(text)).toEqual(before.encode(text));
  expect(after.eosTokenIds).toEqual(before.eosTokenIds);
  expect(after.specialTokens).toEqual(before.specialTokens);

  // Another file in its place is another model.
  const bytes = readFileSync(model);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(model, bytes);
  await expect(restoreRun(gpu, run)).rejects.toMatchObject({ code: 'conflict' });
});

test('is served and evaluated like a folder', async () => {
  await engine.loadModel({ id: 'story', path: fixture });
  const [info] = await engine.models();
  expect(info).toMatchObject({ id: 'story', kind: 'base', architecture: 'llama', parameterCount: 656_000 });
  expect(info!.weightBytes).toBeLessThan(1_000_000);
  const file = writeRows(optionRows(8));
  const result = await engine.evaluate({ model: 'story', data: { file } });
  expect(result.examples).toBe(8);
  expect(result.loss).toBeGreaterThan(0);
  await engine.unloadModel('story');
  await expect(engine.loadModel({ id: 'x', path: `${fixture}.none.gguf` })).rejects.toMatchObject({
    code: 'not_found',
  });
  await expect(engine.loadModel({ id: 'x', path: fixture.replace('.gguf', '.json') })).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringContaining('GGUF'),
  });
});
