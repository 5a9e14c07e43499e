import { expect, test } from 'vitest';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { chooseMatmul, chooseSlices, matrixFragment } from '../../src/ops/matmul-choice.ts';

const square = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };

/** What the choice looks at, of an adapter that this machine need not have. */
function adapter(
  options: {
    kernelStyle?: 'hardware' | 'software';
    configs?: (typeof square)[];
    subgroupSizes?: [number, number];
    workgroupBytes?: number;
    features?: string[];
    arithmetic?: 'exact' | 'half';
  } = {},
): Gpu {
  const features = options.features ?? ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'];
  return {
    kernelStyle: options.kernelStyle ?? 'hardware',
    arithmetic: options.arithmetic ?? 'exact',
    adapter: { subgroupMatrixConfigs: options.configs ?? [square], subgroupSizes: options.subgroupSizes ?? [32, 32] },
    features: new Set(features),
    device: {
      limits: {
        maxComputeWorkgroupStorageSize: options.workgroupBytes ?? 49_152,
        maxComputeInvocationsPerWorkgroup: 256,
      },
    },
  } as unknown as Gpu;
}

const large = { rows: 1024, columns: 4096, innerQuads: 1024 };

test('matrix units are used where there are fitting ones', () => {
  const fragment = { M: 16, N: 16, K: 16 };
  expect(chooseMatmul(adapter(), large)).toEqual({ variant: 'matrix-4x4', slices: 1, fragment });
  expect(chooseMatmul(adapter(), { ...large, columns: 512 })).toMatchObject({ variant: 'matrix-2x2', slices: 2 });
  expect(chooseMatmul(adapter({ arithmetic: 'half' }), large)).toEqual({ variant: 'half-4x4', slices: 1, fragment });
  expect(chooseMatmul(adapter({ arithmetic: 'half', configs: [] }), large)).toMatchObject({ variant: 'tile-8x8' });
  // Sixteen KiB hold the smaller tile only.
  expect(chooseMatmul(adapter({ workgroupBytes: 16_384 }), large)).toMatchObject({ variant: 'matrix-2x2' });
  for (const lacking of [
    adapter({ configs: [] }),
    adapter({ configs: [{ ...square, resultComponentType: 'f16' }] }),
    adapter({ configs: [{ ...square, componentType: 'u8' }] }),
    adapter({ subgroupSizes: [0, 0] }),
    adapter({ subgroupSizes: [128, 128] }),
    // Which of them a kernel gets is not for it to say.
    adapter({ subgroupSizes: [32, 64] }),
    adapter({ workgroupBytes: 8192 }),
    adapter({ features: ['subgroups', 'chromium-experimental-subgroup-matrix'] }),
  ]) {
    expect(chooseMatmul(lacking, large)).toEqual({ variant: 'tile-8x8', slices: 1 });
    expect(matrixFragment(lacking, 2)).toBeUndefined();
  }
});

test('subgroups of other sizes, and of the smallest where there are several', () => {
  const fragment = { M: 16, N: 16, K: 16 };
  expect(matrixFragment(adapter({ subgroupSizes: [8, 8] }), 4)).toEqual({ ...fragment, subgroup: 8 });
  const features = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix', 'subgroup-size-control'];
  expect(matrixFragment(adapter({ features, subgroupSizes: [32, 64] }), 4)).toEqual({ ...fragment, sized: true });
  expect(matrixFragment(adapter({ features, subgroupSizes: [16, 32] }), 4)).toEqual({
    ...{ ...fragment, subgroup: 16 },
    sized: true,
  });
});

test('of several fragments the largest that fits', () => {
  const configs = [{ ...square, M: 8, N: 8, K: 8 }, square, { ...square, K: 32 }, { ...square, N: 8 }];
  expect(matrixFragment(adapter({ configs }), 2)).toEqual({ M: 16, N: 16, K: 16 });
  expect(matrixFragment(adapter({ configs, workgroupBytes: 9000 }), 2)).toEqual({ M: 8, N: 8, K: 8 });
});

test('few rows, and what is small and deep, is cut into slices', () => {
  expect(chooseMatmul(adapter(), { rows: 1, columns: 4096, innerQuads: 1024 })).toEqual({
    variant: 'one-row',
    slices: 1,
  });
  expect(chooseMatmul(adapter(), { rows: 1, columns: 64, innerQuads: 1024 })).toEqual({
    variant: 'one-row',
    slices: 16,
  });
  expect(chooseMatmul(adapter(), { rows: 16, columns: 1024, innerQuads: 1024 })).toEqual({
    variant: 'tile-1x4',
    slices: 16,
  });
  expect(chooseSlices(16, 64)).toBe(1);
  expect(chooseSlices(16, 300)).toBe(4);
  expect(chooseSlices(100, 100_000)).toBe(2);
});

test('software adapters share operands through subgroups of 8', () => {
  const software = adapter({ kernelStyle: 'software', subgroupSizes: [8, 8] });
  const variant = (rows: number) => chooseMatmul(software, { ...large, rows });
  expect(variant(1)).toEqual({ variant: 'subgroup-1', slices: 1 });
  expect(variant(2)).toEqual({ variant: 'subgroup-8', slices: 1 });
  expect(variant(1024)).toEqual({ variant: 'subgroup-32', slices: 1 });
});

test('software adapters with vectors of 128 bits share operands through subgroups of 4', () => {
  const software = adapter({ kernelStyle: 'software', subgroupSizes: [4, 4] });
  const variant = (rows: number) => chooseMatmul(software, { ...large, rows }).variant;
  expect([1, 2, 11, 12, 1024].map(variant)).toEqual([
    'four-lanes-1',
    'four-lanes-8',
    'four-lanes-8',
    'four-lanes-16',
    'four-lanes-16',
  ]);
});

test.each([
  ['of 16', { subgroupSizes: [16, 16] as [number, number] }],
  ['of several sizes', { subgroupSizes: [8, 16] as [number, number] }],
  ['that shaders cannot use', { subgroupSizes: [8, 8] as [number, number], features: ['shader-f16'] }],
])('software adapters with subgroups %s get the direct variant, whatever the shape', (_, options) => {
  for (const rows of [1, 16, 1024]) {
    expect(chooseMatmul(adapter({ kernelStyle: 'software', ...options }), { ...large, rows })).toEqual({
      variant: 'direct',
      slices: 1,
    });
  }
});
