/**
 * MeZO, Sparse MeZO, HiZOO and SubZero+ against float64 trajectories of 50 steps that form every perturbed parameter in
 * full (test/reference/zo.py); SubZero+ crosses two refreshes.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { batchLoss } from '../../src/objectives/loss.ts';
import type { Measurement } from '../../src/zo/optimizer.ts';
import { SubZero } from '../../src/zo/subzero.ts';
import { relativeError } from '../support/zo/compare.ts';
import { type GoldenSummary, optionsExample, readFixture } from '../support/zo/golden.ts';
import { liveStep } from '../support/zo/live.ts';
import { type Session, withOptimizer } from '../support/zo/session.ts';
import { expectFrozen, expectSummaries, withoutFrozenMatrices } from '../support/zo/summaries.ts';
import { currentParameters, curvatures, modelBytes, storedParameters } from '../support/zo/weights.ts';

interface GoldenStep {
  step: number;
  batch: number[];
  /** In the order of the probes. */
  losses: number[];
  rho: number[];
  curvatures?: number[];
}

interface Golden {
  settings: Record<string, string | number | boolean>;
  examples: { prompt: number[]; options: number[][]; label: number }[];
  steps: GoldenStep[];
  loss_of_all_examples: { before: number; after: number };
  final: Record<string, GoldenSummary>;
  s?: { after: number; s: Record<string, number[][]> }[];
  thresholds?: Record<string, number>;
  curvature?: Record<string, GoldenSummary>;
}

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const camelCase = (name: string) => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

function sessionSettings({ settings, steps }: Golden): Parameters<typeof withOptimizer>[1] {
  const entries = Object.entries(settings).map(([name, value]) => [camelCase(name), value]);
  return { ...Object.fromEntries(entries), batchSize: steps[0]!.batch.length };
}

const forcedOf = ({ rho, curvatures }: GoldenStep): Measurement => ({
  projectedGradients: rho,
  ...(curvatures ? { curvatures } : {}),
});

// Measured on lavapipe on the recorded ρ: losses 9e-7, S 2e-7, weights 3e-7, H 8e-7. Another adapter may round
// differently.
const tolerance = { loss: 4e-6, state: 5e-6, weights: 5e-6, curvature: 5e-6 };

describe.each([
  // `rho`: the noise of f32 losses over ε; `curvature`: over ε². `free`: how far the losses and the final weights of a
  // run on its own ρ may stray. Measured: a half or less of each.
  { name: 'mezo-llama', rho: 1e-3, curvature: 0, free: 5e-6 },
  { name: 'mezo-opt-k3', rho: 2.5e-3, curvature: 0, free: 5e-6 },
  { name: 'mezo-momentum-llama', rho: 1e-3, curvature: 0, free: 5e-6 },
  { name: 'mezo-adam-llama', rho: 1e-3, curvature: 0, free: 5e-6 },
  { name: 'mezo-frozen-opt', rho: 1e-3, curvature: 0, free: 5e-6 },
  { name: 'sparse-mezo-llama', rho: 1e-3, curvature: 0, free: 5e-6 },
  { name: 'hizoo-llama', rho: 1e-4, curvature: 2e-2, free: 5e-6 },
  { name: 'subzero-plus-llama', rho: 2.5e-3, curvature: 0, free: 1e-5 },
])('$name', ({ name, rho, curvature, free }) => {
  const golden = readFixture<Golden>(`golden/zo-${name}.json`);
  const examples = golden.examples.map(({ prompt, options, label }) => optionsExample(prompt, options, label));
  const batchOf = (step: number) => golden.steps[step]!.batch.map((index) => examples[index]!);

  function expectStep(recorded: GoldenStep, losses: readonly number[], measured: Measurement, allowed: number): void {
    expect(losses).toHaveLength(recorded.losses.length);
    for (const [probe, loss] of recorded.losses.entries()) {
      expect(Math.abs(losses[probe]! - loss), `loss of probe ${probe}, step ${recorded.step}`).toBeLessThan(allowed);
    }
    for (const [query, value] of recorded.rho.entries()) {
      const error = Math.abs(measured.projectedGradients[query]! - value);
      expect(error, `ρ of query ${query}, step ${recorded.step}`).toBeLessThan(rho);
    }
    expect(measured.curvatures?.length).toBe(recorded.curvatures?.length);
    for (const [query, value] of (recorded.curvatures ?? []).entries()) {
      const error = Math.abs(measured.curvatures![query]! - value);
      expect(error, `curvature of query ${query}, step ${recorded.step}`).toBeLessThan(curvature);
    }
  }

  function expectFinal({ model }: Session, values: ReadonlyMap<string, ArrayLike<number>>, allowed: number): void {
    expectSummaries(withoutFrozenMatrices(model, values, golden.final), golden.final, allowed);
  }

  async function expectFactors({ optimizer }: Session, step: number): Promise<number> {
    const record = golden.s?.find(({ after }) => after === step + 1);
    if (!record || !(optimizer instanceof SubZero)) return 0;
    let seen = 0;
    for await (const { weight, s } of optimizer.factors()) {
      const expected = record.s[weight.name]?.flat();
      if (!expected) continue;
      seen++;
      expect(relativeError(s, expected), `S of ${weight.name} after ${step + 1}`).toBeLessThan(tolerance.state);
    }
    return seen;
  }

  test('on the recorded ρ: losses, ρ, state and final weights', () =>
    withOptimizer(gpu, sessionSettings(golden), async (session) => {
      const { model, optimizer, scorer } = session;
      const before = await modelBytes(model);
      let factorsSeen = 0;
      for (const recorded of golden.steps) {
        const { losses, measured } = await liveStep(session, batchOf(recorded.step), recorded.step, forcedOf(recorded));
        expectStep(recorded, losses, measured, tolerance.loss);
        factorsSeen += await expectFactors(session, recorded.step);
      }
      expect(factorsSeen).toBe((golden.s ?? []).reduce((sum, { s }) => sum + Object.keys(s).length, 0));

      const scores = await scorer.score(examples, optimizer.current);
      const finalLoss = batchLoss(examples, scores[0]!).loss;
      expect(Math.abs(finalLoss - golden.loss_of_all_examples.after)).toBeLessThan(tolerance.loss);
      expectFinal(session, await currentParameters(model, optimizer), tolerance.weights);
      if (golden.curvature) {
        expectSummaries(await curvatures(optimizer), golden.curvature, tolerance.curvature);
      }
      // And where what is open has been folded into the stored weights, as an export does.
      optimizer.foldAll();
      expectFinal(session, await storedParameters(model, optimizer), tolerance.weights);
      expectFrozen(before, await modelBytes(model), golden.final);
    }));

  test('on its own ρ', () =>
    withOptimizer(gpu, sessionSettings(golden), async (session) => {
      for (const recorded of golden.steps) {
        const { losses, measured } = await liveStep(session, batchOf(recorded.step), recorded.step);
        expectStep(recorded, losses, measured, free);
      }
      expectFinal(session, await currentParameters(session.model, session.optimizer), free);
    }));

  if (golden.thresholds) {
    test('thresholds are the exact percentiles of the base weights', () =>
      withOptimizer(gpu, sessionSettings(golden), async ({ optimizer }) => {
        const { tensors } = optimizer.perturb(0).dense!;
        expect(tensors.size).toBeGreaterThan(10);
        for (const [tensor, { threshold }] of tensors) expect(threshold, tensor).toBe(golden.thresholds![tensor]);
      }));
  }
});
