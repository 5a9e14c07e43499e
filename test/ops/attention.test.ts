import { describe, expect, test } from 'vitest';
import { attentionCase, attentionShapes } from '../../src/bench/cases/attention.ts';
import { attentionTile, chooseAttention } from '../../src/ops/attention.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe.each(['direct', 'workgroup', 'sliced'] as const)('attention %s', (variant) => {
  testCases(
    gpu,
    attentionShapes.map((shape) => attentionCase(shape, variant)),
  );
});

// Compiles slowly on a software adapter: all shapes run with one width, whose quads are no multiple of the lanes; test/long has the others.
describe('attention tiled', () => {
  testCases(
    gpu,
    attentionShapes.map((shape) => attentionCase({ ...shape, headWidth: 80 }, 'tiled')),
  );
});

describe('the choice of a variant', () => {
  const hardware = { kernelStyle: 'hardware' } as const;
  test('many rows share tiles, few rows over many keys are cut, others take a workgroup each', () => {
    expect(chooseAttention(hardware, { rows: 2048, rowsPerProbe: 1024, heads: 12 })).toBe('tiled');
    expect(chooseAttention(hardware, { rows: 1, rowsPerProbe: 1, heads: 12, longest: 4000 })).toBe('sliced');
    expect(chooseAttention(hardware, { rows: 1, rowsPerProbe: 1, heads: 12, longest: 40 })).toBe('workgroup');
    expect(chooseAttention(hardware, { rows: 1, rowsPerProbe: 1, heads: 12 })).toBe('workgroup');
    expect(chooseAttention(hardware, { rows: 24, rowsPerProbe: 24, heads: 32, longest: 4000 })).toBe('workgroup');
    expect(chooseAttention({ kernelStyle: 'software' }, { rows: 2048, rowsPerProbe: 1024, heads: 12 })).toBe('direct');
  });

  test('tiles fill the workgroup memory and never more', () => {
    expect(attentionTile(64, 16_384)).toEqual({ ROWS: 16, KEYS: 32 });
    expect(attentionTile(128, 16_384)).toEqual({ ROWS: 16, KEYS: 8 });
    expect(attentionTile(128, 49_152)).toEqual({ ROWS: 16, KEYS: 32 });
    expect(attentionTile(256, 16_384)).toEqual({ ROWS: 4, KEYS: 8 });
  });
});
