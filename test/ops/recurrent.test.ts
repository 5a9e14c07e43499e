import { beforeEach, describe, expect, test } from 'vitest';
import { convolutionCase, convolutionShapes, deltaRuleCase, deltaRuleShapes } from '../../src/bench/cases/recurrent.ts';
import { headSplitCase, headSplitShapes } from '../../src/bench/cases/rows.ts';
import { chooseDeltaRule, chunkLength, type DeltaRuleVariant, deltaRuleVariants } from '../../src/ops/delta-rule.ts';
import { sharedLanes } from '../../src/ops/matmul-choice.ts';
import { expectSameBits, openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('convolve', () => {
  testCases(gpu, convolutionShapes.map(convolutionCase));
});

describe.each(deltaRuleVariants)('deltaRule, %s', (variant) => {
  if (variant === 'shared' || variant === 'wide') {
    beforeEach((context) => context.skip(sharedLanes(gpu()) !== 8, 'this adapter has no subgroups of 8'));
  }
  testCases(
    gpu,
    deltaRuleShapes
      .filter(({ continues }) => variant !== 'wide' || !continues)
      .map((shape) => deltaRuleCase({ ...shape, variant })),
  );
});

// Training takes one of them and generation the other, and journals hold what training gave by either.
describe('deltaRule, wide: the bits of shared', () => {
  beforeEach((context) => context.skip(sharedLanes(gpu()) !== 8, 'this adapter has no subgroups of 8'));
  const stateless = deltaRuleShapes.filter(({ continues }) => !continues);
  test.each(stateless.map((shape) => ({ name: deltaRuleCase(shape).name, shape })))('$name', ({ name, shape }) =>
    expectSameBits<DeltaRuleVariant>(gpu(), name, ['shared', 'wide'], (variant) =>
      deltaRuleCase({ ...shape, variant }),
    ),
  );
});

describe('splitHeads', () => {
  testCases(gpu, headSplitShapes.map(headSplitCase));
});

describe('chooseDeltaRule', () => {
  const adapterOf = (kernelStyle: 'hardware' | 'software', lanes: number, limit: number) =>
    ({
      kernelStyle,
      adapter: { subgroupSizes: [lanes, lanes] },
      features: new Set(['subgroups']),
      device: { limits: { maxComputeWorkgroupStorageSize: limit } },
    }) as unknown as Parameters<typeof chooseDeltaRule>[0];
  const prompt = { keyWidth: 128, tokens: 256, keeps: false };

  test('a GPU takes chunks where runs are long and they fit', () => {
    const gpu = adapterOf('hardware', 32, 16_384);
    expect(chooseDeltaRule(gpu, prompt)).toBe('chunked');
    expect(chooseDeltaRule(gpu, { ...prompt, keeps: true })).toBe('chunked');
    expect(chooseDeltaRule(gpu, { ...prompt, tokens: 1, keeps: true })).toBe('one-column');
    expect(chooseDeltaRule(gpu, { ...prompt, keyWidth: 4096 })).toBe('one-column');
  });

  test('a software adapter shares loads where it can, and among more columns where no state is kept', () => {
    const eight = adapterOf('software', 8, 32_768);
    expect(chooseDeltaRule(eight, prompt)).toBe('wide');
    expect(chooseDeltaRule(eight, { ...prompt, keeps: true })).toBe('shared');
    expect(chooseDeltaRule(adapterOf('software', 4, 32_768), prompt)).toBe('four-columns');
  });

  test('chunks fill the workgroup memory', () => {
    expect(chunkLength(128, 16_384)).toBe(8);
    expect(chunkLength(128, 32_768)).toBe(16);
    expect(chunkLength(64, 16_384)).toBe(8);
    expect(chunkLength(4096, 16_384)).toBeUndefined();
  });
});
