import { describe } from 'vitest';
import { normCase, normShapes } from '../support/cases/norm.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('norm', () => {
  testCases(gpu, normShapes.map(normCase));
});
