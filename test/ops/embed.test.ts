import { describe } from 'vitest';
import { embedCase, embedShapes } from '../../src/bench/cases/embed.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('embed', () => {
  testCases(gpu, embedShapes.map(embedCase));
});
