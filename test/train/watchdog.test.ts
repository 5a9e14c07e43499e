import { describe, expect, test } from 'vitest';
import { idleLearningRateWarning, LossWatchdog, type WarningCode } from '../../src/train/watchdog.ts';

/** What a watchdog says over a run, by step. */
function tell(steps: Iterable<{ loss: number; rho: number }>, epsilon = 1e-3): Map<number, [WarningCode, string]> {
  const watchdog = new LossWatchdog({ epsilon, sides: 2 });
  const told = new Map<number, [WarningCode, string]>();
  let step = 0;
  for (const { loss, rho } of steps) {
    const observation = { step: ++step, loss, projectedGradients: [rho, rho / 2], learningRate: 1e-6 };
    const warning = watchdog.observe(observation, () => Math.log(2));
    if (warning) told.set(step, [warning.code, warning.message]);
  }
  return told;
}

describe('the watchdog', () => {
  test('is silent over noise and over a falling loss', () => {
    const steps = Array.from({ length: 500 }, (_, i) => ({
      loss: 0.6 - i * 1e-4 + 0.25 * Math.sin(i * 7.3),
      rho: Math.cos(i),
    }));
    expect(tell(steps).size).toBe(0);
  });

  test('tells once of a loss that has risen to a multiple', () => {
    const steps = Array.from({ length: 200 }, (_, i) => ({ loss: i < 60 ? 0.6 : 3, rho: 1 }));
    const told = tell(steps);
    expect(told.size).toBe(1);
    const [[step, [code, text]]] = [...told] as [[number, [WarningCode, string]]];
    expect(step).toBeGreaterThan(60);
    expect(step).toBeLessThan(90);
    expect(code).toBe('rising_loss');
    expect(text).toContain('0.600');
  });

  test('tells of a loss that rose among the first steps', () => {
    const steps = Array.from({ length: 40 }, (_, i) => ({ loss: i < 2 ? 0.6 : 300, rho: 1 }));
    expect([...tell(steps)]).toEqual([[21, ['rising_loss', expect.stringContaining('from 0.600')]]]);
    // No worse than a guess, it may be the batches.
    expect(tell(steps.map(({ loss, rho }) => ({ loss: loss > 1 ? 0.7 : 0.1, rho }))).size).toBe(0);
  });

  test('tells at once, and once, of a loss that no longer depends on the weights', () => {
    const steps = Array.from({ length: 100 }, (_, i) => ({ loss: 0.7, rho: i < 30 ? 0.1 : 0 }));
    expect([...tell(steps)]).toEqual([[32, ['no_slope', expect.stringContaining('ρ has been 0 since step 31')]]]);
  });

  test('a single ρ of 0 is nothing', () => {
    const steps = Array.from({ length: 100 }, (_, i) => ({ loss: 0.6, rho: i % 3 === 0 ? 0 : 1 }));
    expect(tell(steps).size).toBe(0);
  });

  test('tells of differences that are rounding', () => {
    // One unit in the last place of f32 below 1, over 2ε.
    const steps = Array.from({ length: 40 }, () => ({ loss: 0.8, rho: 2 ** -24 / 2e-7 }));
    expect([...tell(steps, 1e-7)]).toEqual([[20, ['noise', expect.stringContaining('ε = 1e-7')]]]);
    expect(tell(steps).size).toBe(0);
  });
});

test('a learning rate that moves nothing is told of before the first step', () => {
  expect(idleLearningRateWarning({ learningRate: 0 })).toMatchObject({ code: 'idle_learning_rate' });
  expect(idleLearningRateWarning({ learningRate: 1e-9 })).toBeUndefined();
});
