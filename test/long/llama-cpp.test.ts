/**
 * What we write for llama.cpp, loaded there: a model in blocks of 8 bits, and the adapter of a run beside it. It wants
 * node-llama-cpp, which `npm install --prefix bench/rivals` gets.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { missingLlama } from '../../bench/rivals/llama.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { openGgufWeights } from '../../src/gguf/index.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { quantizeModel } from '../../src/train/quantize.ts';
import { valuesOfBytes } from '../../src/weights/index.ts';
import { removeTemporary, temporaryFolder, writeRows } from '../train/tiny.ts';
import type { LogitsRequest } from './llama-logits.ts';
import { type LlamaSizes, llamaLogits } from './llama-reference.ts';

const example = fileURLToPath(new URL('../../examples/reviews-3m/', import.meta.url));
const ids = [5, 80, 1047, 201, 282, 3215, 286, 704, 99, 2000, 17, 640, 33, 4001, 512, 77];

let gpu: Gpu;
let engine: LocalEngine;
let folder: string;
let file: string;
beforeAll(async () => {
  if (missingLlama()) return;
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  folder = temporaryFolder();
  file = join(folder, 'reviews-q8_0.gguf');
  await quantizeModel({ model: example, out: file, format: 'gguf', storage: 'q8' });
});
afterAll(async () => {
  await engine?.close();
  removeTemporary();
});
beforeEach((context) => {
  const missing = missingLlama();
  context.skip(missing !== undefined, missing);
});

async function llamaCpp(request: LogitsRequest): Promise<number[][][]> {
  const child = fork(fileURLToPath(new URL('./llama-logits.ts', import.meta.url)), [JSON.stringify(request)]);
  const ended = once(child, 'exit').then(() => {
    throw new Error('the process of llama.cpp ended without logits; its messages are above');
  });
  const [rows] = (await Promise.race([once(child, 'message'), ended])) as [number[][][]];
  ended.catch(() => {});
  return rows;
}

/** How far rows are from each other; logits count less a constant of each row, as in probabilities. */
function distance(one: readonly ArrayLike<number>[], other: readonly ArrayLike<number>[]) {
  let [most, squares, count] = [0, 0, 0];
  for (const [index, row] of one.entries()) {
    const differences = Array.from(row, (value, at) => value - other[index]![at]!);
    const mean = differences.reduce((sum, each) => sum + each, 0) / differences.length;
    for (const each of differences) {
      most = Math.max(most, Math.abs(each - mean));
      squares += (each - mean) ** 2;
    }
    count += differences.length;
  }
  return { most, rootMeanSquare: Math.sqrt(squares / count) };
}

async function ours(path: string): Promise<Float32Array[]> {
  const model = await loadModel(gpu, path);
  const logits = await sequenceLogits(model, ids);
  model.destroy();
  return logits;
}

test('Q8_0: the difference of logits is what llama.cpp rounds', async () => {
  const weights = await weightsOf(file);
  const sizes = JSON.parse(readFileSync(join(example, 'config.json'), 'utf8')) as LlamaSizes;
  const alone = ids.slice(0, 9).map((id) => [id]);
  const [its, ...itsAlone] = await llamaCpp({ file, texts: [ids, ...alone] });
  const exact = llamaLogits(sizes, weights, ids, false);
  const rounded = llamaLogits(sizes, weights, ids, true);
  expect(distance(await ours(file), exact).most).toBeLessThan(2e-5);
  // A token alone meets what is emulated and nothing else. Sums in another order may move a number over the edge
  // between two codes, and all that follows with it; where that does not happen, nothing is left.
  const shares = alone.map((one, index) => {
    const [plain, emulated] = [false, true].map((rounds) => llamaLogits(sizes, weights, one, rounds));
    return distance(itsAlone[index]!, emulated!).rootMeanSquare / distance(itsAlone[index]!, plain!).rootMeanSquare;
  });
  expect(shares.filter((share) => share < 0.01).length).toBeGreaterThanOrEqual(2);
  // In a text attention, which computes in f16, moves many, so that the size of the difference is the same, no more.
  const [found, explained] = [distance(its!, exact), distance(rounded, exact)];
  expect(found.rootMeanSquare).toBeLessThan(1.5 * explained.rootMeanSquare);
});

test('the adapter of a run beside the base, as the run merged', async () => {
  const row = JSON.stringify({ prompt: 'The film was', completion: ' a big red dog.' });
  const run = join(folder, 'run');
  const configuration: Partial<TrainConfiguration> = {
    ...{ steps: 12, batchSize: 4, rank: 8, refresh: 5, bankRank: 16, seed: 3, learningRate: 5e-3, epsilon: 1e-3 },
    ...{ storage: 'q8', parameters: ['*_proj.weight'] },
  };
  const request = { model: example, data: { file: writeRows(`${row}\n`.repeat(8)) }, configuration, out: run };
  for await (const _ of engine.train(request));
  const lora = join(folder, 'adapter.gguf');
  await engine.exportRun({ run, format: 'gguf-lora', out: lora });
  const merged = join(folder, 'merged.gguf');
  await engine.exportRun({ run, format: 'gguf', storage: 'f16', out: merged });
  const texts = [ids];
  const [base] = await llamaCpp({ file, texts });
  const [adapted] = await llamaCpp({ file, lora, texts });
  const [own, ownBase] = [await ours(merged), await ours(file)];
  const figures = {
    'its base, its adapted': distance(base!, adapted!),
    'its adapted, our run': distance(adapted!, own),
    'its base, our base': distance(base!, ownBase),
  };
  const unexplained = figures['its base, our base'].rootMeanSquare;
  expect(figures['its base, its adapted'].rootMeanSquare).toBeGreaterThan(4 * unexplained);
  expect(figures['its adapted, our run'].rootMeanSquare).toBeLessThan(1.5 * unexplained);
});

/** The weights of a GGUF file, by the names of transformers. */
async function weightsOf(path: string): Promise<Map<string, Float32Array>> {
  const source = await openGgufWeights(path);
  const weights = new Map<string, Float32Array>();
  for (const { name, dtype } of source.tensors.values())
    weights.set(name, valuesOfBytes(dtype, await source.read(name)));
  await source.close();
  return weights;
}
