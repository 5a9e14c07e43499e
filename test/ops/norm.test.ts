import { beforeEach, describe, expect, test } from 'vitest';
import { Bed } from '../../src/bench/bed.ts';
import { normCase, normShapes } from '../../src/bench/cases/norm.ts';
import type { GpuBuffer } from '../../src/gpu/buffer.ts';
import { sharedLanes } from '../../src/ops/matmul-choice.ts';
import type { NormVariant } from '../../src/ops/norm.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';
import { Random, testSeed } from '../support/random.ts';

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

  const bitsOf = async (index: number, variant: NormVariant): Promise<Uint32Array> => {
    const shape = normShapes[index]!;
    const bed = new Bed(gpu(), new Random(testSeed, normCase(shape).name));
    const [{ buffer, rows, columns }] = normCase(shape, variant).prepare(bed).record() as unknown as [
      { buffer: GpuBuffer; rows: number; columns: number },
    ];
    const [bits] = await gpu().recorder.read([{ buffer, bytes: rows * columns * 4 }]);
    bed.destroy();
    return new Uint32Array(bits!);
  };

  // Journals hold what they give.
  test.each(normShapes.map((shape, index) => [normCase(shape).name, index] as const))(
    '%s: the bits of workgroup',
    async (_, index) => {
      expect(await bitsOf(index, 'subgroup')).toEqual(await bitsOf(index, 'workgroup'));
    },
  );
});
