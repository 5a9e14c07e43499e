/**
 * LoRA, prompt and prefix tuning under every optimiser against float64 trajectories of 50 steps with renewals before
 * steps 20 and 40 (test/reference/schemes.py).
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { leadingTokens, withLeading } from '../../src/model/virtual-tokens.ts';
import { batchLoss } from '../../src/objectives/loss.ts';
import type { AppliedStep, Measurement } from '../../src/zo/optimizer.ts';
import { norm, relativeError } from '../support/zo/compare.ts';
import { type GoldenSummary, optionsExample, readFixture } from '../support/zo/golden.ts';
import { liveStep } from '../support/zo/live.ts';
import { type SessionSettings, withOptimizer } from '../support/zo/session.ts';
import { weightValues } from '../support/zo/weights.ts';

interface GoldenRun {
  settings: Record<string, unknown>;
  /** Per step, in the order of the probes. */
  losses: number[][];
  rho: number[][];
  curvatures?: number[][];
  loss_of_all_examples: { before: number; after: number };
  final: Record<string, GoldenSummary>;
}

interface Golden extends Record<string, unknown> {
  examples: { prompt: number[]; options: number[][]; label: number }[];
  batches: number[][];
}

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const camelCase = (name: string) => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

// Measured on lavapipe: a third or less of each.
const tolerance = { loss: 5e-6, tensor: 1e-5 };

describe.each(['lora', 'prompt', 'prefix'])('%s', (scheme) => {
  const golden = readFixture<Golden>(`golden/scheme-${scheme}.json`);
  const texts = golden.examples.map(({ prompt, options, label }) => optionsExample(prompt, options, label));

  test.each(['subzero', 'subzero-plus', 'mezo', 'sparse-mezo', 'hizoo'])('%s', async (optimizer) => {
    const run = golden[optimizer] as GoldenRun;
    const entries = Object.entries(run.settings).map(([name, value]) => [camelCase(name), value]);
    const settings = { ...Object.fromEntries(entries), batchSize: golden.batches[0]!.length } as SessionSettings;
    const epsilon = run.settings.epsilon as number;
    const records: AppliedStep[] = [];
    await withOptimizer(gpu, settings, async (session) => {
      const examples = withLeading(texts, leadingTokens(session.model, session.optimizer.current));
      const before = await Promise.all([...session.model.weights.values()].map((w) => weightValues(session.model, w)));
      for (const [step, losses] of run.losses.entries()) {
        const batch = golden.batches[step]!.map((index) => examples[index]!);
        const forced: Measurement = {
          projectedGradients: run.rho[step]!,
          ...(run.curvatures ? { curvatures: run.curvatures[step]! } : {}),
        };
        const { losses: actual, measured, applied } = await liveStep(session, batch, step, forced);
        records.push(applied);
        expect(actual).toHaveLength(losses.length);
        for (const [probe, loss] of losses.entries()) {
          expect(Math.abs(actual[probe]! - loss), `loss of probe ${probe}, step ${step}`).toBeLessThan(tolerance.loss);
        }
        for (const [query, rho] of run.rho[step]!.entries()) {
          const error = Math.abs(measured.projectedGradients[query]! - rho);
          expect(error, `ρ of query ${query}, step ${step}`).toBeLessThan(tolerance.loss / epsilon);
        }
      }
      const tensors = await session.optimizer.adapterValues();
      for (const [name, summary] of Object.entries(run.final)) {
        const values = tensors.get(name)!;
        expect(values, name).toBeDefined();
        const watched = summary.indices.map((index) => values[index]!);
        expect(relativeError(watched, summary.values), name).toBeLessThan(tolerance.tensor);
        expect(Math.abs(norm(values) - summary.norm) / summary.norm, name).toBeLessThan(tolerance.tensor);
      }
      const [scores] = await session.scorer.score(examples, session.optimizer.current);
      const { after } = run.loss_of_all_examples;
      expect(Math.abs(batchLoss(examples, scores!).loss - after)).toBeLessThan(tolerance.loss);
      // The model itself has been read only.
      const then = await Promise.all([...session.model.weights.values()].map((w) => weightValues(session.model, w)));
      expect(then).toEqual(before);

      await withOptimizer(gpu, settings, async ({ optimizer: replayed }) => {
        await replayed.replay(records);
        expect(await replayed.adapterValues()).toEqual(tensors);
      });
    });
  });
});
