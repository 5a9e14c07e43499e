/**
 * The variants for software adapters with subgroups of 4, which Mesa's has where vectors are 128 bits wide, as on ARM,
 * or where it is told so.
 */

import { beforeEach, describe, expect, test } from 'vitest';
import { attentionCase, attentionShapes } from '../../src/bench/cases/attention.ts';
import { embedCase, embedShapes } from '../../src/bench/cases/embed.ts';
import { type LinearShape, matmulCase } from '../../src/bench/cases/linear.ts';
import { normCase, normShapes } from '../../src/bench/cases/norm.ts';
import { leastSharedWidth } from '../../src/ops/attention.ts';
import { sharedLanes } from '../../src/ops/matmul-choice.ts';
import { matmulDescriptions, subgroupVariants } from '../../src/ops/matmul-variants.ts';
import { expectSameBits, openTestGpu, testCases } from '../support/gpu.ts';

// Read by Mesa when the adapter opens; each test file is a process of its own.
process.env.LP_NATIVE_VECTOR_WIDTH = '128';

const gpu = openTestGpu();
beforeEach((context) => context.skip(sharedLanes(gpu()) !== 4, 'this adapter has no subgroups of 4'));

const variants = subgroupVariants.filter((variant) => matmulDescriptions[variant].lanes === 4);

// Blocks that are whole, odd and cut on either side; several probes; all that the epilogue does; blocks of codes.
const shapes: readonly LinearShape[] = [
  { rows: 1, inner: 100, columns: 37, rank: 3, bias: true },
  { rows: 16, inner: 64, columns: 32, storage: 'f16' },
  { rows: 19, inner: 36, columns: 69, rank: 9, probes: 2, weightScale: 0.9, accumulate: true },
  { rows: 5, inner: 64, columns: 33, storage: 'bf16', activation: 'silu' },
  { rows: 13, inner: 192, columns: 21, storage: 'q4' },
  { rows: 3, inner: 64, columns: 18, storage: 'q8' },
];

test('are three, and only these share by four', () => {
  expect(variants).toEqual(['four-lanes-1', 'four-lanes-8', 'four-lanes-16']);
});

describe.each(variants)('matmul %s', (variant) => {
  testCases(
    gpu,
    shapes.map((shape) => matmulCase({ variant, slices: 1 }, shape)),
  );
});

// Runs go on alike with either, since journals of software adapters name no plans.
test.each(shapes.map((shape) => ({ name: JSON.stringify(shape), shape })))(
  'have the bits of direct: $name',
  ({ name, shape }) =>
    expectSameBits(gpu(), name, ['direct', ...variants], (variant) => matmulCase({ variant, slices: 1 }, shape)),
);

describe('attention', () => {
  testCases(
    gpu,
    attentionShapes.map((shape) => attentionCase(shape, 'four-lanes')),
  );

  test.each(attentionShapes.filter(({ headWidth }) => headWidth >= leastSharedWidth))(
    '$name: the bits of direct',
    (shape) => expectSameBits(gpu(), shape.name, ['direct', 'four-lanes'], (variant) => attentionCase(shape, variant)),
  );
});

describe('norm', () => {
  testCases(
    gpu,
    normShapes.map((shape) => normCase(shape, 'four-lanes')),
  );

  test.each(normShapes.map((shape) => ({ name: normCase(shape).name, shape })))(
    '$name: the bits of workgroup',
    ({ name, shape }) =>
      expectSameBits(gpu(), name, ['workgroup', 'four-lanes'], (variant) => normCase(shape, variant)),
  );
});

describe('embed', () => {
  // Several subgroups, the last of which has rows or columns that are not there.
  const withRank = embedShapes.filter(({ rows, rank }) => rows >= 24 && rank);
  testCases(
    gpu,
    withRank.map((shape) => embedCase(shape, 'four-lanes')),
  );

  test.each(withRank.map((shape) => ({ name: embedCase(shape).name, shape })))(
    '$name: the bits of four rows',
    ({ name, shape }) =>
      expectSameBits(gpu(), name, ['four-rows', 'four-lanes'], (variant) => embedCase(shape, variant)),
  );
});
