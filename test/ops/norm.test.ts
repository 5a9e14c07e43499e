import { beforeEach, describe, test } from 'vitest';
import { normCase, normShapes } from '../../src/bench/cases/norm.ts';
import { sharedLanes } from '../../src/ops/matmul-choice.ts';
import { expectSameBits, openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('norm', () => {
  testCases(
    gpu,
    normShapes.map((shape) => normCase(shape, 'workgroup')),
  );
});

describe('norm subgroup', () => {
  beforeEach((context) => context.skip(sharedLanes(gpu()) !== 8, 'this adapter has no subgroups of 8'));
  testCases(
    gpu,
    normShapes.map((shape) => normCase(shape, 'subgroup')),
  );

  test.each(normShapes.map((shape) => ({ name: normCase(shape).name, shape })))(
    '$name: the bits of workgroup',
    ({ name, shape }) => expectSameBits(gpu(), name, ['workgroup', 'subgroup'], (variant) => normCase(shape, variant)),
  );
});
