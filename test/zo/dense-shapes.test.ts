/**
 * MeZO and its relatives on models of random shapes and storage types against full perturbed matrices in float64: odd
 * vocabularies, grouped heads, tied and untied heads, biases, sliding windows; every other model trains a random part
 * of its parameters.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { batchLoss } from '../../src/objectives/loss.ts';
import { gaussian, purposes, tensorId } from '../../src/random/philox.ts';
import { probePoints } from '../../src/zo/probe-points.ts';
import { withSeed } from '../support/random.ts';
import { relativeError } from '../support/zo/compare.ts';
import { optionLoss64 } from '../support/zo/float64-decoder.ts';
import { choices64, safeGap } from '../support/zo/float64-experts.ts';
import { maskedExample, optionsExample } from '../support/zo/golden.ts';
import { probe } from '../support/zo/live.ts';
import {
  expertBones,
  gemma4Bones,
  lossTolerance,
  maskedBones,
  otherBones,
  recurrentOverrides,
  writeRandomModel,
} from '../support/zo/random-model.ts';
import { randomSubset } from '../support/zo/random-settings.ts';
import { withOptimizer } from '../support/zo/session.ts';
import { currentParameters, curvatures, weightValues } from '../support/zo/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const optimizers = ['mezo', 'sparse-mezo', 'hizoo'] as const;
const storages = ['f32', 'f16', 'bf16'] as const;

test.each(Array.from({ length: 30 }, (_, index) => index))('random model %i', async (index) => {
  await withSeed(`dense shapes ${index}`, async (random) => {
    const optimizer = optimizers[index % 3]!;
    const overrides = [
      {},
      // Norms of what sublayers give, and of all heads together, which needs heads of whole quads.
      { model_type: 'olmo2', head_dim: 4 * random.integer(1, 3) },
      recurrentOverrides(random),
      { model_type: 'mistral', sliding_window: random.integer(1, 9) },
      {
        ...{ model_type: 'gemma3_text', sliding_window: random.integer(1, 9), sliding_window_pattern: 2 },
        ...{ hidden_activation: 'silu', rope_theta: 900, rope_local_base_freq: 20, final_logit_softcapping: 4 },
      },
      {
        ...{ model_type: 'gemma2', sliding_window: random.integer(1, 9), hidden_activation: 'silu' },
        ...{ query_pre_attn_scalar: 3, attn_logit_softcapping: 1.5, final_logit_softcapping: 5 },
      },
      {
        ...{ model_type: 'granite', embedding_multiplier: 3, residual_multiplier: 0.4 },
        ...{ attention_multiplier: 0.3, logits_scaling: 2 },
      },
    ][index < 9 ? index % 4 : index < 12 ? index - 5 : 0]!;
    choices64.smallestGap = Number.POSITIVE_INFINITY;
    const written = await writeRandomModel(
      random,
      index < 12
        ? overrides
        : index < 18
          ? otherBones(random)
          : index < 21
            ? maskedBones(random)
            : index < 24
              ? expertBones(random)
              : gemma4Bones(random, index > 26),
    );
    const settings = {
      model: written.directory,
      optimizer,
      parameters: index % 2 === 0 ? [] : randomSubset(random, written.trainable),
      storage: storages[(index + Math.floor(index / 3)) % 3]!,
      queries: random.integer(1, 3),
      sides: optimizer === 'hizoo' ? 2 : random.pick([1, 2] as const),
      // Two or more elements train of the smallest tensors, which have 16.
      sparsity: 0.9 * random.uniform(),
      hessianSmoothing: 0.2,
      epsilon: 1e-2,
      seed: random.integer(0, 2 ** 31),
    };
    const vocabulary = written.config.vocab_size as number;
    const draw = (low: number, high: number) =>
      Array.from({ length: random.integer(low, high) }, () => random.integer(0, vocabulary - 1));
    const masked = /bert/.test(String(written.config.model_type));
    const maskedOne = () => {
      // RoBERTa's padding token, which has no position, is no part of a text.
      const prompt = draw(1, 12).map((id) => (id === 1 ? 2 : id));
      return maskedExample(prompt, random.integer(0, prompt.length - 1), [3, 5, 4], random.integer(0, 2));
    };
    const examples = Array.from({ length: 3 }, () =>
      masked ? maskedOne() : optionsExample(draw(1, 12), [draw(1, 4), draw(1, 4)], 1),
    );
    try {
      await withOptimizer(gpu, settings, async (session) => {
        const { model, optimizer: running, configuration } = session;
        const trained = settings.parameters.length === 0 ? written.trainable : settings.parameters;
        const trains = (name: string) => trained.includes(name);
        const parametersNow = async () => new Map([...model.vectors, ...(await currentParameters(model, running))]);
        const base = await parametersNow();
        for (let step = 0; step < 2; step++) {
          const values = (): number[] => Array.from({ length: settings.queries }, () => Math.fround(random.normal()));
          const curvature =
            optimizer === 'hizoo'
              ? {
                  curvatures: values()
                    .map((value) => value ** 2)
                    .map(Math.fround),
                }
              : {};
          await running.replay([{ step, learningRate: Math.fround(3e-3), projectedGradients: values(), ...curvature }]);
        }
        const current = await parametersNow();
        for (const [name, values] of current) {
          const change = relativeError(values, base.get(name)!);
          if (trains(name)) expect(change, name).toBeGreaterThan(1e-7);
          else expect(change, `${name} is frozen`).toBe(0);
        }
        const thresholds = new Map(
          [...base].map(([name, values]) => {
            const magnitudes = Float64Array.from(values, Math.abs).sort();
            return [name, magnitudes[Math.max(1, Math.round(values.length * (1 - settings.sparsity))) - 1]!] as const;
          }),
        );
        const hessian = optimizer === 'hizoo' ? await curvatures(running) : undefined;

        const losses = await probe(session, examples, 2);
        const points = probePoints(configuration);
        expect(losses).toHaveLength(points.length);
        for (const [at, { scale, query }] of points.entries()) {
          const perturbed = new Map<string, Float64Array>();
          for (const [name, values] of current) {
            const stream = { tensor: tensorId(name), step: 2, purpose: purposes.dense, query };
            const z = gaussian(settings.seed, stream, values.length);
            perturbed.set(
              name,
              z.map((noise, i) => {
                const value = values[i]!;
                if (!trains(name)) return value;
                let along = noise;
                if (optimizer === 'sparse-mezo' && Math.abs(value) > thresholds.get(name)!) along = 0;
                if (hessian) along /= Math.sqrt(hessian.get(name)![i]!);
                return value + scale * along;
              }),
            );
          }
          const expected = optionLoss64(model.decoder, perturbed, examples);
          if (choices64.smallestGap < safeGap) continue;
          const error = Math.abs(losses[at]! - expected);
          expect(error, `probe ${at}`).toBeLessThan(lossTolerance(written.config) * (1 + Math.abs(expected)));
        }
        if (settings.parameters.length === 0) expect(new Set(losses).size).toBe(losses.length);
        const [scores] = await session.scorer.score(examples, running.current);
        const loss = optionLoss64(
          model.decoder,
          new Map([...current].map(([name, values]) => [name, Float64Array.from(values)])),
          examples,
        );
        if (choices64.smallestGap < safeGap) return;
        const off = Math.abs(batchLoss(examples, scores!).loss - loss);
        expect(off).toBeLessThan(lossTolerance(written.config) * (1 + Math.abs(loss)));
      });
    } catch (error) {
      if (error instanceof Error) error.message += `\n${JSON.stringify({ ...settings, model: written.config })}`;
      throw error;
    } finally {
      await written.remove();
    }
  });
});

test('pads stay zero for as long as HiZOO runs', async () => {
  const settings = { model: 'qwen3-odd-tiny', optimizer: 'hizoo', storage: 'f32', hessianSmoothing: 0.9 } as const;
  await withOptimizer(gpu, settings, async ({ model, optimizer }) => {
    // Where it sees no noise H would fall by a factor of ten a step, and its root soon be zero.
    const numbers = { learningRate: Math.fround(1e-12), projectedGradients: [1], curvatures: [4] };
    await optimizer.replay(Array.from({ length: 200 }, (_, step) => ({ step, ...numbers })));
    for (const weight of model.weights.values()) {
      // Throws where a pad is not zero.
      expect((await weightValues(model, weight)).every(Number.isFinite), weight.name).toBe(true);
    }
  });
});
