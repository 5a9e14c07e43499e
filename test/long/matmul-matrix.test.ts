/**
 * The kernel for matrix units over an emulation of them: fragments of all shapes, f32 weights, slices. Each compiles
 * for many seconds.
 */

import { describe } from 'vitest';
import { deepShapes, matmulCase, otherFragments } from '../../src/bench/cases/linear.ts';
import { defaultFragment } from '../../src/ops/matmul-variants.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();
const shape = { rows: 45, columns: 71, inner: 52, rank: 6, probes: 2, weightScale: 0.9 };

const fragments = [defaultFragment, ...otherFragments].filter(({ sized }) => !sized);

describe.each(fragments)('matrix units of $M × $N × $K, subgroups of $subgroup', (fragment) => {
  testCases(gpu, [
    matmulCase({ variant: 'emulated-2x2', slices: 1, fragment }, shape),
    matmulCase(
      { variant: 'emulated-2x2', slices: 1, fragment },
      { ...shape, storage: 'f16', bias: true, activation: 'silu', accumulate: true },
    ),
  ]);
});

describe('matrix units in slices', () => {
  testCases(
    gpu,
    [2, 5, 16].flatMap((slices) =>
      deepShapes.map((deep) => matmulCase({ variant: 'emulated-2x2', slices }, { ...deep, storage: 'bf16' })),
    ),
  );
});
