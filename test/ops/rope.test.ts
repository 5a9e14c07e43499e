import { describe } from 'vitest';
import { ropeCase, ropeShapes } from '../../src/bench/cases/rope.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('rope', () => {
  testCases(gpu, ropeShapes.map(ropeCase));
});
