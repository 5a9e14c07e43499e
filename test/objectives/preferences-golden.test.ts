/**
 * Runs on preferences against their reference: float64 trajectories of 20 steps across two folds, with the losses of
 * PyTorch as TRL writes them (test/reference/preferences.py).
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenizedExample } from '../../src/data/example.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import type { ObjectiveName } from '../../src/settings/objectives.ts';
import { BaseScores } from '../../src/train/base-scores.ts';
import { evaluate } from '../../src/train/evaluate.ts';
import { lossOfRun } from '../../src/train/goal.ts';
import { Scorer } from '../../src/train/score.ts';
import { evaluateStep } from '../../src/train/step-evaluation.ts';
import { createOptimizer } from '../../src/zo/create-optimizer.ts';
import { modelDirectory, readFixture } from '../support/zo/golden.ts';

interface Measured {
  margin: number;
  accuracy: number;
  drift: number;
}

interface Case {
  settings: {
    objective: ObjectiveName;
    beta: number;
    label_smoothing: number;
    anchor: number;
    learning_rate: number;
  };
  steps: ({ batch: number[]; losses: number[]; rho: number } & Measured)[];
  final: { loss: number } & Measured;
}

const golden = readFixture<{
  model: string;
  seed: number;
  rank: number;
  refresh: number;
  epsilon: number;
  examples: { prompt: number[]; chosen: number[]; rejected: number[] }[];
  cases: Record<string, Case>;
}>('golden/preferences.json');

const examples = golden.examples.map(
  ({ prompt, chosen, rejected }): TokenizedExample => ({
    ...{ kind: 'preference', prompt, label: 0 },
    continuations: [chosen, rejected].map((ids) => ({ ids, scored: ids.length })),
  }),
);

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

// Measured on lavapipe: at most 4e-6, with β = 2, which multiplies the noise of f32 log-probabilities.
const tolerance = 1e-5;

describe.each(Object.entries(golden.cases))('%s', (_, { settings, steps, final }) => {
  test('losses, margins, accuracy and drift of every step, and after the last one', async () => {
    const model = await loadModel(gpu, modelDirectory(golden.model), { storage: 'f32' });
    const configuration = resolveConfiguration({
      ...{ seed: golden.seed, rank: golden.rank, refresh: golden.refresh, epsilon: golden.epsilon },
      ...{ steps: steps.length, batchSize: steps[0]!.batch.length, learningRate: settings.learning_rate },
      ...{ objective: settings.objective, anchor: settings.anchor },
      ...{ dpoBeta: settings.beta, dpoLabelSmoothing: settings.label_smoothing },
    });
    const optimizer = await createOptimizer(model, configuration);
    const scorer = new Scorer(model, configuration.maxRows);
    const base = new BaseScores({ fingerprint: model.fingerprint, storage: 'f32' });
    for await (const _ of base.ask({ model, scorer }, examples));
    const lossOf = lossOfRun(configuration, base);
    const near = (actual: number, expected: number, what: string) =>
      expect(Math.abs(actual - expected) / (1 + Math.abs(expected)), what).toBeLessThan(tolerance);
    try {
      for (const [step, recorded] of steps.entries()) {
        const batch = recorded.batch.map((index) => examples[index]!);
        const { losses, accuracy, measures } = await evaluateStep({ gpu, optimizer, scorer, lossOf }, batch, step);
        for (const [probe, loss] of losses.entries()) near(loss, recorded.losses[probe]!, `loss ${probe} of ${step}`);
        near(measures!.rewardMargin!, recorded.margin, `margin of step ${step}`);
        near(measures!.drift!, recorded.drift, `drift of step ${step}`);
        expect(accuracy, `accuracy of step ${step}`).toBe(recorded.accuracy);
        const learningRate = Math.fround(configuration.learningRate);
        optimizer.update({ step, learningRate, projectedGradients: [recorded.rho] });
      }
      const after = await evaluate(scorer, examples, optimizer.current, { lossOf });
      near(after.loss, final.loss, 'loss after the last step');
      near(after.measures!.rewardMargin!, final.margin, 'margin after the last step');
      expect(after.accuracy).toBe(final.accuracy);
      near(after.measures!.drift!, final.drift, 'drift after the last step');
    } finally {
      scorer.destroy();
      optimizer.destroy();
      model.destroy();
    }
  });
});
