import { describe } from 'vitest';
import { embedCase, embedShapes } from '../../src/bench/cases/embed.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('embed', () => {
  testCases(gpu, embedShapes.map(embedCase));
});

// A software adapter makes rows together, others one at a time.
describe('embed, the kernel of GPUs', () => {
  const hardware = openTestGpu({ kernelStyle: 'hardware' });
  testCases(hardware, embedShapes.filter(({ storage = 'f32' }) => storage === 'f32').map(embedCase));
});
