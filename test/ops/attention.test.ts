import { beforeEach, describe, expect, test } from 'vitest';
import { attentionCase, attentionShapes } from '../../src/bench/cases/attention.ts';
import type { AdapterDescription, KernelStyle } from '../../src/gpu/device.ts';
import { attentionTile, chooseAttention, leastSharedWidth } from '../../src/ops/attention.ts';
import { sharedLanes } from '../../src/ops/matmul-choice.ts';
import { expectSameBits, openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();
const grouped = attentionShapes.find(({ name }) => name === 'grouped queries')!;

describe.each(['direct', 'workgroup', 'sliced'] as const)('attention %s', (variant) => {
  testCases(
    gpu,
    attentionShapes.map((shape) => attentionCase(shape, variant)),
  );
});

describe('attention subgroup', () => {
  beforeEach((context) => context.skip(sharedLanes(gpu()) !== 8, 'this adapter has no subgroups of 8'));
  testCases(
    gpu,
    attentionShapes.map((shape) => attentionCase(shape, 'subgroup')),
  );

  test.each(attentionShapes.filter(({ headWidth }) => headWidth >= leastSharedWidth))(
    '$name: the bits of direct',
    (shape) => expectSameBits(gpu(), shape.name, ['direct', 'subgroup'], (variant) => attentionCase(shape, variant)),
  );

  // Loops over a head that are cut in two, with a last turn that is not full, and one that is too long for it.
  const wide = [200, 256, 512].map((headWidth) => ({ ...grouped, headWidth }));
  testCases(
    gpu,
    wide.map((shape) => attentionCase(shape, 'subgroup')),
  );
  test.each(wide)('heads of $headWidth: the bits of direct', (shape) =>
    expectSameBits(gpu(), shape.name, ['direct', 'subgroup'], (variant) => attentionCase(shape, variant)),
  );
});

// Compiles slowly on a software adapter: all shapes run with one width, whose quads are no multiple of the lanes;
// test/long has the others.
describe('attention tiled', () => {
  testCases(
    gpu,
    attentionShapes.map((shape) => attentionCase({ ...shape, headWidth: 80 }, 'tiled')),
  );
});

describe('attention with wide heads', () => {
  testCases(
    gpu,
    (['tiled', undefined] as const).map((variant) => attentionCase({ ...grouped, headWidth: 512 }, variant)),
  );
});

describe('the choice of a variant', () => {
  const adapter = (kernelStyle: KernelStyle, ...subgroupSizes: [number, number]) => ({
    kernelStyle,
    adapter: { subgroupSizes } as unknown as AdapterDescription,
    features: new Set(['subgroups']),
  });
  const hardware = adapter('hardware', 32, 32);
  test('many rows share tiles, few rows over many keys are cut, others take a workgroup each', () => {
    expect(chooseAttention(hardware, { rows: 2048, rowsPerProbe: 1024, heads: 12, headWidth: 64 })).toBe('tiled');
    expect(chooseAttention(hardware, { rows: 1, rowsPerProbe: 1, heads: 12, headWidth: 64, longest: 4000 })).toBe(
      'sliced',
    );
    expect(chooseAttention(hardware, { rows: 1, rowsPerProbe: 1, heads: 12, headWidth: 64, longest: 40 })).toBe(
      'workgroup',
    );
    expect(chooseAttention(hardware, { rows: 1, rowsPerProbe: 1, heads: 12, headWidth: 64 })).toBe('workgroup');
    expect(chooseAttention(hardware, { rows: 2048, rowsPerProbe: 1024, heads: 2, headWidth: 512 })).toBe('tiled');
    expect(chooseAttention(hardware, { rows: 2048, rowsPerProbe: 1024, heads: 2, headWidth: 516 })).toBe('workgroup');
    expect(chooseAttention(hardware, { rows: 24, rowsPerProbe: 24, heads: 32, headWidth: 64, longest: 4000 })).toBe(
      'workgroup',
    );
  });

  test('software adapters share keys by subgroups where they have them', () => {
    const shape = { rows: 2048, rowsPerProbe: 1024, heads: 12, headWidth: 64 };
    expect(chooseAttention(adapter('software', 8, 8), shape)).toBe('subgroup');
    expect(chooseAttention(adapter('software', 4, 4), shape)).toBe('four-lanes');
    expect(chooseAttention(adapter('software', 16, 16), shape)).toBe('direct');
    expect(chooseAttention(adapter('software', 8, 8), { ...shape, headWidth: 8 })).toBe('direct');
    expect(chooseAttention({ ...adapter('software', 8, 8), features: new Set() }, shape)).toBe('direct');
  });

  test('tiles fill the workgroup memory and never more', () => {
    expect(attentionTile(64, 16_384)).toEqual({ ROWS: 16, KEYS: 32 });
    expect(attentionTile(128, 16_384)).toEqual({ ROWS: 16, KEYS: 8 });
    expect(attentionTile(128, 49_152)).toEqual({ ROWS: 16, KEYS: 32 });
    expect(attentionTile(256, 16_384)).toEqual({ ROWS: 4, KEYS: 8 });
    expect(attentionTile(512, 32_768)).toEqual({ ROWS: 4, KEYS: 8 });
    for (let headWidth = 4; headWidth <= 512; headWidth += 4) {
      for (const limit of [16_384, 32_768, 49_152]) {
        const { ROWS, KEYS } = attentionTile(headWidth, limit);
        expect(
          16 * ROWS * (headWidth / 4) + 16 * (headWidth / 4) * (KEYS + 1) + 4 * ROWS * KEYS + 16 * ROWS + 8,
        ).toBeLessThanOrEqual(limit);
      }
    }
  });
});
