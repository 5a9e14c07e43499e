import { beforeEach, describe } from 'vitest';
import { convolutionCase, convolutionShapes, deltaRuleCase, deltaRuleShapes } from '../../src/bench/cases/recurrent.ts';
import { headSplitCase, headSplitShapes } from '../../src/bench/cases/rows.ts';
import { deltaRuleVariants } from '../../src/ops/delta-rule.ts';
import { sharedLanes } from '../../src/ops/matmul-choice.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('convolve', () => {
  testCases(gpu, convolutionShapes.map(convolutionCase));
});

describe.each(deltaRuleVariants)('deltaRule, %s', (variant) => {
  if (variant === 'shared') {
    beforeEach((context) => context.skip(sharedLanes(gpu()) !== 8, 'this adapter has no subgroups of 8'));
  }
  testCases(
    gpu,
    deltaRuleShapes.map((shape) => deltaRuleCase({ ...shape, variant })),
  );
});

describe('splitHeads', () => {
  testCases(gpu, headSplitShapes.map(headSplitCase));
});
