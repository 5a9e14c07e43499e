import { describe } from 'vitest';
import { linearCase, linearShapes, matmulCase, matmulVariants, randomLinearShape } from '../support/cases/linear.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';
import { Random, testSeed } from '../support/random.ts';

const gpu = openTestGpu();
const random = new Random(testSeed, 'shapes');
const randomShapes = Array.from({ length: 12 }, () => randomLinearShape(random));

describe('linear', () => {
  testCases(
    gpu,
    linearShapes.map((shape) => linearCase(shape)),
  );
});

describe('linear, random shapes', () => {
  testCases(
    gpu,
    randomShapes.map((shape, index) => linearCase(shape, `shape ${index}`)),
  );
});

describe.each(matmulVariants)('matmul %s', (variant) => {
  testCases(
    gpu,
    linearShapes.filter(({ columns }) => columns < 1000).map((shape) => matmulCase(variant, shape)),
  );
});
