/**
 * The factored forward pass on models of random shapes against full matrices in float64: ranks above and below every
 * side, odd vocabularies, grouped heads, tied and untied heads, sliding windows, recurrent layers; some train a random
 * part of its parameters.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { batchLoss } from '../../src/objectives/loss.ts';
import { shapeOf } from '../../src/tensor/weight.ts';
import { withSeed } from '../support/random.ts';
import { relativeError } from '../support/zo/compare.ts';
import { optionLoss64 } from '../support/zo/float64-decoder.ts';
import { choices64, safeGap } from '../support/zo/float64-experts.ts';
import { maskedExample, optionsExample } from '../support/zo/golden.ts';
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
import { withSession } from '../support/zo/session.ts';
import { effectiveParameters, weightValues, withChange } from '../support/zo/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

test.each(Array.from({ length: 40 }, (_, index) => index))('random model %i', async (index) => {
  await withSeed(`shapes ${index}`, async (random) => {
    const overrides = [
      {},
      random.uniform() < 0.5
        ? { model_type: 'smollm3', no_rope_layer_interval: 2 }
        : { model_type: 'olmo2', head_dim: 4 * random.integer(1, 3) },
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
      recurrentOverrides(random),
    ][index < 12 ? index % 3 : Math.min(index - 9, 6)]!;
    choices64.smallestGap = Number.POSITIVE_INFINITY;
    const model = await writeRandomModel(
      random,
      index < 19
        ? overrides
        : index < 25
          ? otherBones(random)
          : index < 29
            ? maskedBones(random)
            : index < 33
              ? expertBones(random)
              : gemma4Bones(random, index > 35),
    );
    const settings = {
      model: model.directory,
      parameters: index % 8 < 4 ? [] : randomSubset(random, model.trainable),
      rank: random.integer(1, 20),
      refresh: 2,
      queries: random.integer(1, 3),
      sides: random.pick([1, 2] as const),
      normAlignment: random.uniform() < 0.5,
      // It shrinks all of a layer's experts or none.
      weightDecay: index % 8 < 4 || (index < 29 && model.config.num_experts === undefined) ? 0.5 : 0,
      epsilon: 1e-2,
      seed: random.integer(0, 2 ** 31),
    };
    const vocabulary = model.config.vocab_size as number;
    const draw = (low: number, high: number) =>
      Array.from({ length: random.integer(low, high) }, () => random.integer(0, vocabulary - 1));
    const masked = /bert/.test(String(model.config.model_type));
    const maskedOne = () => {
      // RoBERTa's padding token, which has no position, is no part of a text.
      const prompt = draw(1, 12).map((id) => (id === 1 ? 2 : id));
      return maskedExample(prompt, random.integer(0, prompt.length - 1), [3, 5, 4], random.integer(0, 2));
    };
    const examples = Array.from({ length: 3 }, () =>
      masked ? maskedOne() : optionsExample(draw(1, 12), [draw(1, 4), draw(1, 4)], 1),
    );
    try {
      await withSession(gpu, settings, async ({ model: loaded, subzero, scorer, configuration }) => {
        // Three steps, so one fold and one step of the next period; the second query's ρ differs from the first's.
        for (let step = 0; step < 3; step++) {
          const projectedGradients = Array.from({ length: settings.queries }, () => Math.fround(random.normal()));
          await subzero.replay([{ step, learningRate: Math.fround(3e-3), projectedGradients }]);
        }
        const trained = await effectiveParameters(loaded, subzero);
        if (settings.parameters.length > 0) expect([...trained.keys()].sort()).toEqual(settings.parameters.sort());
        for (const [name, values] of trained) {
          expect(relativeError(values, model.parameters.get(name)!), name).toBeGreaterThan(1e-5);
        }
        const lossOf = async (probes: typeof subzero.current) =>
          (await scorer.score(examples, probes)).map((list) => batchLoss(examples, list).loss);
        const parameters = new Map([...model.parameters, ...trained]);
        const [loss] = await lossOf(subzero.current);
        const tolerance = lossTolerance(model.config);
        const expectedLoss = optionLoss64(loaded.decoder, parameters, examples);
        if (choices64.smallestGap > safeGap) expect(Math.abs(loss! - expectedLoss)).toBeLessThan(tolerance);

        // Every probe of the next step against its full matrices, formed from the state that the GPU perturbed.
        subzero.beginStep(3);
        const probes = subzero.perturb(3);
        const losses = await lossOf(probes);
        expect(losses).toHaveLength(configuration.queries * settings.sides + (settings.sides === 1 ? 1 : 0));
        const [data] = await gpu.recorder.read([
          { buffer: probes.state, bytes: probes.stateStride * probes.count * 4 },
        ]);
        const states = new Float32Array(data!);
        for (const [probe, actual] of losses.entries()) {
          const state = states.subarray(probe * probes.stateStride, (probe + 1) * probes.stateStride);
          const perturbed = new Map(model.parameters);
          for await (const { weight, rank, scale, u, v } of subzero.factors()) {
            const { stateOffset } = probes.factors.get(weight.name)!;
            const s = state.subarray(stateOffset, stateOffset + rank * rank);
            const base = await weightValues(loaded, weight);
            const change = { rank, scale, u, s, v };
            perturbed.set(weight.name, withChange(base, change, shapeOf(weight), probes.weightScale));
          }
          for (const [name, offset] of probes.vectors) {
            perturbed.set(name, Float64Array.from(state.subarray(offset, offset + loaded.vectors.get(name)!.length)));
          }
          const expected = optionLoss64(loaded.decoder, perturbed, examples);
          if (choices64.smallestGap < safeGap) continue;
          expect(Math.abs(actual - expected), `probe ${probe}`).toBeLessThan(tolerance * (1 + Math.abs(expected)));
        }
        if (settings.parameters.length === 0) expect(new Set(losses).size).toBe(losses.length);
      });
    } catch (error) {
      if (error instanceof Error) error.message += `\n${JSON.stringify({ ...settings, model: model.config })}`;
      throw error;
    } finally {
      await model.remove();
    }
  });
});

test('factors of a matrix that is larger than those before it', async () => {
  await withSeed('growing factors', async (random) => {
    const sizes = { vocab_size: 1024, hidden_size: 16, intermediate_size: 2048, num_hidden_layers: 1, head_dim: 4 };
    const model = await writeRandomModel(random, sizes);
    try {
      await withSession(gpu, { model: model.directory, rank: 16, seed: 5 }, async ({ subzero }) => {
        subzero.beginStep(0);
        await gpu.idle();
        for await (const { weight, rank, u } of subzero.factors()) {
          const [rows] = shapeOf(weight);
          for (const [a, b] of [
            [0, 0],
            [0, rank - 1],
          ] as const) {
            let sum = 0;
            for (let row = 0; row < rows; row++) sum += u[row * rank + a]! * u[row * rank + b]!;
            expect(sum, weight.name).toBeCloseTo(a === b ? 1 : 0, 5);
          }
        }
      });
    } finally {
      await model.remove();
    }
  });
});
