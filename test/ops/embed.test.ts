import { describe } from 'vitest';
import { embedCase, embedShapes } from '../support/cases/embed.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('embed', () => {
  testCases(gpu, embedShapes.map(embedCase));
});
