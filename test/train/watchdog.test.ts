import { describe, expect, test } from 'vitest';
import { LossWatchdog } from '../../src/train/watchdog.ts';

/** What a watchdog says over a run, by step. */
function tell(steps: Iterable<{ loss: number; rho: number }>): Map<number, string> {
  const watchdog = new LossWatchdog();
  const told = new Map<number, string>();
  let step = 0;
  for (const { loss, rho } of steps) {
    const text = watchdog.observe(++step, loss, [rho, rho / 2]);
    if (text !== undefined) told.set(step, text);
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
    const [[step, text]] = [...told] as [[number, string]];
    expect(step).toBeGreaterThan(60);
    expect(step).toBeLessThan(90);
    expect(text).toContain('0.600');
  });

  test('tells once of a loss that no longer depends on the weights', () => {
    const steps = Array.from({ length: 100 }, (_, i) => ({ loss: 0.7, rho: i < 30 ? 0.1 : 0 }));
    const told = tell(steps);
    expect([...told.keys()]).toEqual([50]);
    expect(told.get(50)).toContain('ρ has been 0');
  });

  test('a single ρ of 0 is nothing', () => {
    const steps = Array.from({ length: 100 }, (_, i) => ({ loss: 0.6, rho: i % 10 === 0 ? 1 : 0 }));
    expect(tell(steps).size).toBe(0);
  });
});
