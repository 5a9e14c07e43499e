import { describe } from 'vitest';
import { attentionCase, attentionShapes } from '../support/cases/attention.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('attention', () => {
  testCases(gpu, attentionShapes.map(attentionCase));
});
