/**
 * Variants of several rows with barriers over those types of blocks that test/ops/linear.test.ts leaves out on a
 * software adapter. Each compiles for seconds.
 */

import { describe } from 'vitest';
import { isLong, matmulCase, quantisedShapes } from '../../src/bench/cases/linear.ts';
import { matmulVariants } from '../../src/ops/matmul-variants.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

const cases = matmulVariants.flatMap((variant) =>
  quantisedShapes
    .filter(({ storage }) => isLong(variant, storage!))
    .map((shape) => matmulCase({ variant, slices: 1 }, shape)),
);

describe('matmul, the other types of blocks', () => {
  testCases(gpu, cases);
});
