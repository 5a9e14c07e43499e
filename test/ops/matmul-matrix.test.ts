/**
 * The kernel for matrix units on the units of this adapter, where it has some; test/long has the same over an emulation
 * of them.
 */

import { afterAll, describe, expect, test } from 'vitest';
import { deepShapes, linearShapes, matmulCase, quantisedShapes, tileShapes } from '../../src/bench/cases/linear.ts';
import { squareCases } from '../../src/bench/shapes.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { matrixFragment } from '../../src/ops/matmul-choice.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const probe = await Gpu.open();
const fragments = new Map([2, 4].map((count) => [count, matrixFragment(probe, count)]));
afterAll(() => probe.close());

test('matrix units are used where the adapter has f16 ones with f32 sums', () => {
  const { subgroupMatrixConfigs, subgroupSizes } = probe.adapter;
  const fitting = subgroupMatrixConfigs.filter(
    ({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32',
  );
  const fixed = subgroupSizes[0] > 0 && subgroupSizes[0] === subgroupSizes[1];
  expect(fragments.get(2) !== undefined).toBe(
    fitting.length > 0 && (fixed || probe.features.has('subgroup-size-control')),
  );
});

describe('square products of the benchmark', () => {
  testCases(openTestGpu(), squareCases(probe, 100));
});

describe.runIf(fragments.get(2))('matrix units', () => {
  const gpu = openTestGpu();
  const everything = { storage: 'bf16', bias: true, activation: 'silu', accumulate: true } as const;
  const small = linearShapes.filter(({ columns }) => columns < 1000);
  for (const variant of ['matrix-2x2', 'matrix-4x4', 'half-2x2', 'half-4x4'] as const) {
    const fragment = fragments.get(variant.endsWith('4x4') ? 4 : 2);
    if (!fragment) continue;
    testCases(gpu, [
      ...quantisedShapes.map((shape) => matmulCase({ variant, slices: 1, fragment }, shape)),
      ...[...small, ...tileShapes].map((shape) =>
        matmulCase({ variant, slices: 1, fragment }, { ...shape, ...everything }),
      ),
      ...(['f32', 'f16'] as const).map((storage) =>
        matmulCase(
          { variant, slices: 1, fragment },
          { rows: 45, columns: 71, inner: 52, rank: 6, probes: 2, weightScale: 0.9, storage },
        ),
      ),
      ...[2, 5, 16].flatMap((slices) =>
        deepShapes.map((shape) => matmulCase({ variant, slices, fragment }, { ...shape, ...everything })),
      ),
    ]);
  }
});
