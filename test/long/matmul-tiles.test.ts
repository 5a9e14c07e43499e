import { describe } from 'vitest';
import { matmulVariants } from '../../src/ops/matmul-variants.ts';
import { linearShapes, matmulCase } from '../support/cases/linear.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe.each(matmulVariants.filter((variant) => variant.startsWith('tile')))('matmul %s, all flags', (variant) => {
  testCases(
    gpu,
    linearShapes.filter(({ columns }) => columns < 1000).map((shape) => matmulCase(variant, shape)),
  );
});
