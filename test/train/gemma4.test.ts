/**
 * Training models whose layers have keys and values of other layers, inputs of their own and heads of several widths:
 * plans, journals, schemes and exports.
 */

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sequenceLogits } from '../../src/model/logits.ts';
import { fixedParameters } from '../../src/model/parameters.ts';
import { openSafetensors } from '../../src/safetensors/index.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { inspectModel } from '../../src/train/inspect.ts';
import { startTokens } from '../../src/tuning/adapter.ts';
import { withOptimizer } from '../support/zo/session.ts';
import { tokens, trainableCheckpoints } from './checkpoints.ts';
import { difference, logitsOfRun, shapesOf } from './logits.ts';
import { quick, temporaryFolder } from './tiny.ts';

const models = trainableCheckpoints({
  'gemma 4 that sees': 'gemma4: shared keys, wide feed-forward layers',
  'gemma 4 unified': 'gemma4_unified_text: keys as values, key heads of their own',
  'gemma 4 with experts': 'gemma4_text: experts, shared keys, wide',
});
const { engine, folders, gpu, train } = models;

/** The values of the tensors that nothing trains, in the file of a model. */
async function factorsOf(directory: string): Promise<Record<string, Uint8Array>> {
  const source = await openSafetensors(join(directory, 'model.safetensors'));
  const names = [...source.tensors.keys()].filter((name) => name.endsWith('.layer_scalar'));
  const factors = await Promise.all(names.map(async (name) => [name, await source.read(name)] as const));
  await source.close();
  return Object.fromEntries(factors);
}

describe.each(models.names)('%s', (name) => {
  test.each([{ optimizer: 'subzero' }, { optimizer: 'mezo', mezoUpdate: 'adam' }] as Partial<TrainConfiguration>[])(
    'takes what its plan says: %o',
    (configuration) => models.expectPlanHolds(name, configuration),
  );

  test('goes on from its journal to the same bits', () => models.expectSameBitsAfterResume(name, 7, 5));

  test.each(['subzero', 'mezo'] as const)(
    'is exported with all of its tensors, of which the factors of whole layers do not train: %s',
    async (optimizer) => {
      const run = await train(name, { steps: 7, storage: 'f32', learningRate: 1e-2, optimizer });
      expect(await models.changeOf(name, run)).toBeGreaterThan(1e-4);
      const out = await models.exportedAsIs(run);
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
      await models.exportedAsIs(run);
      expect((await models.peftTargets(run)).length).toBeGreaterThan(1);
    }
  });

  test('trains virtual tokens at the beginning', async () => {
    const run = await train(name, { scheme: 'prompt', virtualTokens: 3, learningRate: 1e-1 });
    expect(await models.changeOf(name, run)).toBeGreaterThan(1e-4);
    // Their inputs of layers are the same whatever lay in memory before.
    expect(await logitsOfRun(gpu(), run, tokens)).toEqual(await logitsOfRun(gpu(), run, tokens));
  });

  test('trains the keys and values of virtual tokens, which start as those of real ones', async () => {
    const settings = { model: folders[name], ...quick, scheme: 'prefix', virtualTokens: 6 } as const;
    await withOptimizer(gpu(), settings, async ({ model, optimizer }) => {
      const prefixed = await sequenceLogits(model, tokens, optimizer.current);
      const plain = await sequenceLogits(model, [...startTokens(model.decoder, settings), ...tokens]);
      expect(difference(prefixed, plain.slice(6))).toBeLessThan(1e-5);
    });
    const run = await train(name, { scheme: 'prefix', virtualTokens: 3, learningRate: 1e-1 });
    expect(await models.changeOf(name, run)).toBeGreaterThan(1e-5);
    await expect(engine().exportRun({ run, format: 'peft', out: join(temporaryFolder(), 'out') })).rejects.toThrow(
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
  await withOptimizer(gpu(), { model: folders['gemma 4 that sees'], ...quick }, async ({ model }) => {
    expect(fixedParameters(model.decoder).size).toBe(model.decoder.blocks.length);
  });
});
