import { describe } from 'vitest';
import { normCase, normShapes } from '../../src/bench/cases/norm.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('norm', () => {
  testCases(gpu, normShapes.map(normCase));
});
