import { describe } from 'vitest';
import { ropeCase, ropeShapes } from '../../src/bench/cases/rope.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('rope', () => {
  testCases(gpu, ropeShapes.map(ropeCase));
  // Whichever of them this adapter has: a head, some of queries and keys, and all of them.
  testCases(
    gpu,
    [1, 3, 100].flatMap((headsAtOnce) => ropeShapes.map((shape) => ropeCase({ ...shape, headsAtOnce }))),
  );
});
