import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InPlaceMezo } from '../../bench/rivals/in-place-mezo.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { batchLoss } from '../../src/objectives/loss.ts';
import { relativeError } from '../support/zo/compare.ts';
import { goldenExamples, readGolden } from '../support/zo/golden.ts';
import { liveStep } from '../support/zo/live.ts';
import { withOptimizer } from '../support/zo/session.ts';
import { currentParameters, weightValues } from '../support/zo/weights.ts';

const examples = goldenExamples(readGolden('llama-central'));
const settings = { model: 'llama-tiny', optimizer: 'mezo', seed: 7, epsilon: 1e-3, learningRate: 1e-3 } as const;
const learningRate = Math.fround(settings.learningRate);

describe('MeZO in place', () => {
  test.each([
    { storage: 'f32', rho: 1e-3, weights: 1e-6 },
    { storage: 'f16', rho: 0.05, weights: 2e-3 },
  ] as const)('in $storage measures and updates as MeZO does', async ({ storage, rho, weights }) => {
    const ours = await withOptimizer(gpu, { ...settings, storage }, async (session) => {
      const { measured } = await liveStep(session, examples, 0);
      return { rho: measured.projectedGradients[0]!, after: await currentParameters(session.model, session.optimizer) };
    });
    await withOptimizer(gpu, { ...settings, storage }, async ({ model, scorer }) => {
      const inPlace = new InPlaceMezo(model, settings);
      const before = new Map<string, Float32Array>();
      for (const weight of model.weights.values()) before.set(weight.name, await weightValues(model, weight));
      const measured = await inPlace.step(0, learningRate, async (probes) => {
        return batchLoss(examples, (await scorer.score(examples, probes))[0]!).loss;
      });
      expect(Math.abs(measured - ours.rho)).toBeLessThan(rho * Math.abs(ours.rho));
      for (const weight of model.weights.values()) {
        const after = await weightValues(model, weight);
        expect(relativeError(after, ours.after.get(weight.name)!)).toBeLessThan(weights);
        expect(relativeError(after, before.get(weight.name)!)).toBeGreaterThan(2 * weights);
      }
      inPlace.destroy();
    });
  });
});

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());
