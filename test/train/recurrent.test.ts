/** Training models whose layers carry a state from token to token: plans, journals, schemes and exports. */

import { describe, expect, test } from 'vitest';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { trainableCheckpoints } from './checkpoints.ts';
import { shapesOf } from './logits.ts';

const models = trainableCheckpoints({
  lfm2: 'lfm2: one layer with attention',
  'qwen3.5': 'qwen3_5_text: nothing but sizes',
  'qwen3.5 that sees': 'qwen3_5: nothing but sizes',
});
const { folders, train } = models;

describe.each(models.names)('%s', (name) => {
  test.each([
    { optimizer: 'subzero' },
    { optimizer: 'mezo', mezoUpdate: 'adam' },
    { optimizer: 'subzero-plus', queries: 3, sides: 1 },
    { scheme: 'lora' },
  ] as Partial<TrainConfiguration>[])('takes what its plan says: %o', (configuration) =>
    models.expectPlanHolds(name, configuration),
  );

  test('goes on from its journal to the same bits', () => models.expectSameBitsAfterResume(name, 9, 6));

  test('is exported with all of its tensors, convolutions included', async () => {
    const run = await train(name, { steps: 7, storage: 'f32', learningRate: 1e-2 });
    expect(await models.changeOf(name, run)).toBeGreaterThan(1e-4);
    const out = await models.exportedAsIs(run);
    const [before, after] = [await shapesOf(folders[name]), await shapesOf(out)];
    const convolution = Object.keys(after).find((tensor) => /conv(1d)?\.weight$/.test(tensor))!;
    expect(after[convolution]).toHaveLength(3);
    for (const [tensor, shape] of Object.entries(after)) expect([tensor, before[tensor]]).toEqual([tensor, shape]);
  });

  test('trains pairs beside the layers of both kinds', async () => {
    const loraTargets =
      name === 'lfm2' ? ['in_proj', 'out_proj', 'q_proj'] : ['in_proj_qkv', 'in_proj_a', 'out_proj', 'q_proj'];
    const run = await train(name, { scheme: 'lora', loraTargets, storage: 'f32', learningRate: 1e-2 });
    await models.exportedAsIs(run);
    expect((await models.peftTargets(run)).length).toBeGreaterThan(2);
  });

  test('trains virtual tokens at the beginning, and refuses those of every layer', async () => {
    const run = await train(name, { scheme: 'prompt', virtualTokens: 3, learningRate: 1e-1 });
    expect(await models.changeOf(name, run)).toBeGreaterThan(1e-4);
    await expect(train(name, { scheme: 'prefix', virtualTokens: 3 })).rejects.toThrow(
      'scheme: "prefix" trains keys and values of every layer, and some layers of this model have none',
    );
  });
});
