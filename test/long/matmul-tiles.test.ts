import { describe } from 'vitest';
import { linearShapes, matmulCase } from '../../src/bench/cases/linear.ts';
import { matmulVariants } from '../../src/ops/matmul-variants.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe.each(matmulVariants.filter((variant) => variant.startsWith('tile')))('matmul %s, all flags', (variant) => {
  testCases(
    gpu,
    linearShapes.filter(({ columns }) => columns < 1000).map((shape) => matmulCase({ variant, slices: 1 }, shape)),
  );
});
