import { expect, test } from 'vitest';
import type { Kernel } from '../../src/gpu/kernel.ts';
import { PieceTimes } from '../../src/gpu/piece-times.ts';
import { withSeed } from '../support/random.ts';

const kernel = (label: string): Kernel => ({ label }) as Kernel;

test('an unknown kernel takes the first guess', () => {
  expect(new PieceTimes(0.5).estimate(kernel('any'), 4)).toBe(2);
});

test('times of mixed submissions tell kernels apart, however wrong the first guess was', async () => {
  const kernels = [
    { kernel: kernel('fast'), true: 1e-4 },
    { kernel: kernel('middling'), true: 2e-3 },
    { kernel: kernel('slow'), true: 0.3 },
  ];
  await withSeed('piece times', (random) => {
    const times = new PieceTimes(1e-6);
    for (let round = 0; round < 2000; round++) {
      const work = new Map(kernels.map((entry) => [entry.kernel, (1 + 9 * random.uniform()) / entry.true]));
      // Most submissions hold one or two of them, as pieces do.
      for (const entry of kernels) if (random.uniform() < 0.5) work.delete(entry.kernel);
      const noise = 0.9 + 0.2 * random.uniform();
      const sum = kernels.reduce((total, entry) => total + (work.get(entry.kernel) ?? 0) * entry.true, 0);
      times.observe(work, sum * noise);
    }
    for (const entry of kernels) {
      const ratio = times.estimate(entry.kernel, 1) / entry.true;
      expect(ratio, entry.kernel.label).toBeGreaterThan(0.8);
      expect(ratio, entry.kernel.label).toBeLessThan(1.25);
    }
  });
});

test('an observation without work or time changes nothing', () => {
  const times = new PieceTimes(1);
  const some = kernel('some');
  times.observe(new Map(), 5);
  times.observe(new Map([[some, 0]]), 5);
  times.observe(new Map([[some, 3]]), 0);
  expect(times.estimate(some, 1)).toBe(1);
});
