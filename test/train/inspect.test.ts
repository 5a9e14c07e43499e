/** What is said of a model without loading it: as loading it says, and as a run plans. */

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { matchTensors } from '../../src/model/checkpoint-tensors.ts';
import { chooseStorage, loadModel, readConfigurationFile } from '../../src/model/load.ts';
import { leadingTokens, withLeading } from '../../src/model/virtual-tokens.ts';
import { openModelWeights } from '../../src/safetensors/index.ts';
import { resolveConfiguration, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { optimizerNames } from '../../src/settings/methods.ts';
import { schemeNames } from '../../src/settings/schemes.ts';
import { exampleOf, MemoryEstimator } from '../../src/train/estimate.ts';
import { inspectModel } from '../../src/train/inspect.ts';
import { planMemory } from '../../src/train/memory-plan.ts';
import { Scorer } from '../../src/train/score.ts';
import { createOptimizer } from '../../src/zo/create-optimizer.ts';
import { tinyModels } from '../support/tiny-models.ts';
import { modelDirectory } from '../support/zo/golden.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
const estimators: MemoryEstimator[] = [];
afterAll(() => {
  for (const estimator of estimators) estimator.close();
  gpu.close();
});

async function estimatorOf(name: string): Promise<MemoryEstimator> {
  const directory = modelDirectory(name);
  const source = await openModelWeights(directory);
  const checkpoint = await matchTensors(directory, await readConfigurationFile(directory), source);
  await source.close();
  const { bindingLimit, device, adapter, features } = gpu;
  const subgroups = features.has('subgroups') ? { subgroupSizes: adapter.subgroupSizes } : {};
  const limits = { bindingLimit, maxBufferSize: device.limits.maxBufferSize, software: true, ...subgroups };
  const estimator = new MemoryEstimator(checkpoint, chooseStorage('f32', { software: false }, []), limits);
  estimators.push(estimator);
  return estimator;
}

describe.each(['llama-tiny', 'opt-odd-tiny'])('the plan of a run of %s', (name) => {
  const cases = schemeNames.flatMap((scheme) => optimizerNames.map((optimizer) => ({ scheme, optimizer })));

  test.each<Partial<TrainConfiguration> & (typeof cases)[number]>([
    ...cases,
    { scheme: 'full', optimizer: 'mezo', mezoUpdate: 'adam', batchSize: 3 },
    { scheme: 'lora', optimizer: 'subzero', loraRank: 5, queries: 7, maxRows: 256 },
  ])('is that of a device: %o', async (settings) => {
    const estimator = await estimatorOf(name);
    const estimate = await estimator.training(settings, 23);
    const model = await loadModel(gpu, modelDirectory(name), { storage: 'f32' });
    const configuration = resolveConfiguration(settings);
    const optimizer = await createOptimizer(model, configuration);
    optimizer.beginStep(0);
    const scorer = new Scorer(model, configuration.maxRows);
    const examples = withLeading([exampleOf(23)], leadingTokens(model, optimizer.current));
    const plan = planMemory({ model, optimizer, scorer, configuration, examples, validation: [], step: 0 });
    // The device keeps staging buffers of earlier reads, which a new one has not.
    const { scratchBytes, totalBytes, ...rest } = plan;
    expect(estimate).toMatchObject({ plan: rest });
    expect((estimate as { plan: typeof plan }).plan.scratchBytes).toBeLessThanOrEqual(scratchBytes);
    expect((estimate as { plan: typeof plan }).plan.scratchBytes).toBeGreaterThan(0.5 * scratchBytes);
    expect(estimator.inference().weightBytes).toBe(model.weightBytes);
    for (const owned of [scorer, optimizer, model]) owned.destroy();
  });
});

test.each(tinyModels)('%s is described as it loads', async (name) => {
  const found = await inspectModel(modelDirectory(name));
  const model = await loadModel(gpu, modelDirectory(name));
  const { parameters, stored } = found;
  expect(parameters.total).toBe(model.parameterCount);
  expect(Object.values(parameters.byKind).reduce((sum, count) => sum + count, 0)).toBe(model.parameterCount);
  expect(found).toMatchObject({
    architecture: model.decoder.architecture,
    contextLength: model.decoder.contextLength,
    layers: { blocks: model.decoder.blocks.length, attention: model.decoder.blocks.length },
  });
  expect(stored.bytes).toBeGreaterThanOrEqual(2 * parameters.total);
  expect(found.memory.training.estimates).toHaveLength(schemeNames.length * optimizerNames.length);
  expect(found.memory.training.estimates.filter((estimate) => 'problem' in estimate)).toEqual([]);
  expect('problem' in found.tokenizer && found.tokenizer.problem).toContain('holds no tokenizer');
  model.destroy();
});

test('the example model, with its tokenizer', async () => {
  const { tokenizer, chatTemplate, parameters, stored } = await inspectModel(join('examples', 'reviews-3m'));
  expect(tokenizer).toMatchObject({ kind: 'BPE', vocabularySize: 4096, specialTokens: { eos_token: '<|endoftext|>' } });
  expect(chatTemplate).toBe(true);
  expect(parameters).toEqual({
    total: 3_148_224,
    tiedHead: true,
    byKind: { embedding: 786_432, norms: 2496, attention: 589_824, 'feed-forward': 1_769_472 },
  });
  expect(stored).toEqual({ bytes: 6_296_448, files: 1, tensors: 56, bytesByDtype: { BF16: 6_296_448 } });
});

test('what does not fit is said', async () => {
  const { memory } = await inspectModel(modelDirectory('llama-tiny'), { limits: { bindingLimit: 2048 } });
  const problems = memory.training.estimates.flatMap((estimate) => ('problem' in estimate ? [estimate.problem] : []));
  expect(problems.length).toBeGreaterThan(0);
  expect(problems.join()).toContain('one storage binding of this adapter holds at most 2.0 KiB');
});

test('a GGUF file and quantised storage', async () => {
  const file = join('test', 'fixtures', 'gguf', 'tinystories-656k-q8_0.gguf');
  const { tokenizer, stored, memory } = await inspectModel(file);
  expect(tokenizer).toMatchObject({ kind: 'BPE' });
  expect(stored.files).toBe(1);
  expect(memory.storage).toBe('auto');
  const { memory: wide } = await inspectModel(file, { storage: 'f32' });
  expect(wide.inference.weightBytes).toBeGreaterThan(2 * memory.inference.weightBytes);
});
