import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { measureRhos, methodsOf, readReference } from '../../bench/fidelity.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { relativeError } from '../support/zo/compare.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

describe('ρ is the derivative of the loss of a real model along the direction', () => {
  const reference = readReference();
  test.each(methodsOf(reference))('$title', async ({ settings, geometry }) => {
    const { rhos, loss } = await measureRhos(gpu, reference, settings, 3);
    expect(Math.abs(loss - reference.loss)).toBeLessThan(2e-6);
    // Measured over 192 draws: 1e-3, which is the third derivative times ε² and the rounding of the losses over ε.
    expect(
      relativeError(
        rhos,
        [0, 1, 2].map((step) => geometry.draw(step).along),
      ),
    ).toBeLessThan(4e-3);
  });
});
