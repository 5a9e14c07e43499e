/** The tiled variant for the head widths of every shape; each compiles for seconds on a software adapter. */

import { describe } from 'vitest';
import { attentionCase, attentionShapes } from '../../src/bench/cases/attention.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('attention tiled, all widths', () => {
  testCases(
    gpu,
    attentionShapes.map((shape) => attentionCase(shape, 'tiled')),
  );
});
