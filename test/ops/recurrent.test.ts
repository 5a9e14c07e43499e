import { describe } from 'vitest';
import { convolutionCase, convolutionShapes, deltaRuleCase, deltaRuleShapes } from '../../src/bench/cases/recurrent.ts';
import { splitCase, splitShapes } from '../../src/bench/cases/rows.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('convolve', () => {
  testCases(gpu, convolutionShapes.map(convolutionCase));
});

describe('deltaRule', () => {
  testCases(gpu, deltaRuleShapes.map(deltaRuleCase));
});

describe('splitHeads', () => {
  testCases(gpu, splitShapes.map(splitCase));
});
