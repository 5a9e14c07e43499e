import { describe, expect, test } from 'vitest';
import type { TokenizedExample } from '../../src/data/example.ts';
import { hopelessSteps, type Observation, SlopeWatch, uniformLoss } from '../../src/train/slope.ts';

const uniform = Math.log(2);

function watch(steps: readonly (Partial<Observation> & { rho: number | number[] })[], settings = {}) {
  const slope = new SlopeWatch({ epsilon: 1e-3, sides: 2, ...settings });
  for (const [index, { rho, ...given }] of steps.entries()) {
    const projectedGradients = [rho].flat();
    slope.observe({ step: index + 1, loss: 0.8, learningRate: 10, ...given, projectedGradients }, () => uniform);
  }
  return slope;
}

const steep = { rho: 1.5 };
const flat = { rho: 0 };

describe('steps without a slope', () => {
  test('one is nothing, two in a row say that the run can no longer learn, and since when', () => {
    expect(watch([steep, flat]).reason).toBeUndefined();
    expect(watch([flat, steep, flat]).reason).toBeUndefined();
    expect(watch([steep, steep, flat, flat]).reason).toContain('since step 3');
    expect(watch([steep, flat, flat, steep]).reason).toBeUndefined();
  });

  test('a single query with a slope is enough', () => {
    expect(watch([steep, { rho: [0, 0, 1e-2] }, { rho: [0, 0, 1e-2] }]).flatSteps).toBe(0);
    expect(watch([steep, { rho: [0, 0, 0] }, { rho: [0, 0, 0] }]).flatSteps).toBe(2);
  });

  test('are hopeless after many', () => {
    const steps = (count: number) => [steep, ...Array.from({ length: count }, () => flat)];
    expect(watch(steps(hopelessSteps - 1)).hopeless).toBe(false);
    expect(watch(steps(hopelessSteps)).hopeless).toBe(true);
  });

  test('of a loss that is that of a guess among equals may have a ρ of rounding', () => {
    const loss = uniform * (1 + 3e-7);
    const slope = watch([steep, ...[1, 2].map(() => ({ rho: 1e-4, loss }))]);
    expect(slope.reason).toContain('guess among equals (0.6931)');
    // As small a ρ anywhere else, or a larger one there, is one.
    expect(watch([steep, ...[1, 2].map(() => ({ rho: 1e-4, loss: 0.7 }))]).reason).toBeUndefined();
    expect(watch([steep, ...[1, 2].map(() => ({ rho: 1e-2, loss }))]).reason).toBeUndefined();
  });

  test('of learnt examples neither count nor end the row', () => {
    const learnt = { rho: 0, loss: 0 };
    expect(watch([steep, learnt, learnt, learnt]).flatSteps).toBe(0);
    expect(watch([steep, flat, learnt, flat]).flatSteps).toBe(2);
  });

  test('a step that is looked at again counts once', () => {
    const slope = watch([steep, flat]);
    const again = { step: 2, loss: 0.8, learningRate: 10 };
    slope.observe({ ...again, projectedGradients: [0] }, () => uniform);
    expect(slope.flatSteps).toBe(1);
    slope.observe({ ...again, projectedGradients: [1] }, () => uniform);
    expect(slope.flatSteps).toBe(0);
  });
});

describe('the cause', () => {
  test('is the learning rate where there was a slope before', () => {
    expect(watch([steep, { rho: 0, loss: 9000 }, flat]).reason).toMatch(
      /learning rate \(10\) is too high.* with 1 or less/,
    );
  });

  test('is ε where it is tiny and the loss is about as it was', () => {
    const tiny = { epsilon: 1e-8 };
    expect(watch([flat, flat], tiny).reason).toContain('ε = 1e-8 is too small');
    expect(watch([steep, flat, flat], tiny).reason).toContain('ε = 1e-8');
    expect(watch([steep, { rho: 0, loss: 9000 }, flat], tiny).reason).toContain('learning rate');
    expect(watch([steep, { rho: 0, loss: uniform }, { rho: 0, loss: uniform }], tiny).reason).toContain(
      'learning rate',
    );
  });

  test('is what trains, or the model, where there never was a slope', () => {
    expect(watch([flat, flat]).reason).toContain('none of the parameters that train');
    const guess = { rho: 0, loss: uniform };
    expect(watch([guess, guess]).reason).toContain('model is damaged');
  });
});

test('the loss of a uniform guess weighs options and completions as the loss of a batch does', () => {
  const options = (count: number): TokenizedExample =>
    ({ kind: 'options', continuations: Array.from({ length: count }) }) as unknown as TokenizedExample;
  const completion = { kind: 'completion', continuations: [{}] } as unknown as TokenizedExample;
  expect(uniformLoss([options(2)], 100)).toBeCloseTo(Math.log(2), 15);
  expect(uniformLoss([options(2), options(4)], 100)).toBeCloseTo(1.5 * Math.log(2), 15);
  expect(uniformLoss([completion, options(4)], 100)).toBeCloseTo(Math.log(20), 15);
});
