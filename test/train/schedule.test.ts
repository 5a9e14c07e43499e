import { describe, expect, test } from 'vitest';
import { defaultConfiguration, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { learningRateAt } from '../../src/train/schedule.ts';

function rates(settings: Partial<TrainConfiguration>): number[] {
  const configuration = { ...defaultConfiguration, learningRate: 1, ...settings };
  return Array.from({ length: configuration.steps }, (_, step) => learningRateAt(step, configuration));
}

describe('learning rate', () => {
  test('constant', () => {
    expect(rates({ schedule: 'constant', steps: 4 })).toEqual([1, 1, 1, 1]);
  });

  test('linear: from the full rate towards 0 behind the last step', () => {
    expect(rates({ schedule: 'linear', steps: 4 })).toEqual([1, 0.75, 0.5, 0.25]);
  });

  test('cosine: half of it in the middle, 0 behind the last step', () => {
    const values = rates({ schedule: 'cosine', steps: 4 });
    expect(values[0]).toBe(1);
    expect(values[1]).toBeCloseTo(0.5 * (1 + Math.SQRT1_2), 6);
    expect(values[2]).toBeCloseTo(0.5, 6);
    expect(values[3]).toBeCloseTo(0.5 * (1 - Math.SQRT1_2), 6);
  });

  test('warm-up rises in equal steps and reaches the full rate with its last one', () => {
    expect(rates({ warmupSteps: 4, steps: 6 })).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
    expect(rates({ schedule: 'linear', warmupSteps: 2, steps: 6 })).toEqual([0.5, 1, 1, 0.75, 0.5, 0.25]);
  });

  test('a warm-up longer than the run never reaches the full rate', () => {
    expect(rates({ schedule: 'linear', warmupSteps: 8, steps: 2 })).toEqual([0.125, 0.25]);
  });

  test.each(['constant', 'linear', 'cosine'] as const)(
    '%s: every rate is an f32, as the journal keeps it',
    (schedule) => {
      for (const rate of rates({ schedule, learningRate: 3e-7, warmupSteps: 3, steps: 50 })) {
        expect(Object.is(Math.fround(rate), rate)).toBe(true);
        expect(rate).toBeGreaterThanOrEqual(0);
        expect(rate).toBeLessThanOrEqual(Math.fround(3e-7));
      }
    },
  );
});
