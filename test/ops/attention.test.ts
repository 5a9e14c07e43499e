import { describe } from 'vitest';
import { attentionCase, attentionShapes } from '../../src/bench/cases/attention.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe.each(['direct', 'workgroup'] as const)('attention %s', (variant) => {
  testCases(
    gpu,
    attentionShapes.map((shape) => attentionCase(shape, variant)),
  );
});
