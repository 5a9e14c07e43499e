import { expect, test } from 'vitest';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { chooseMatmul, chooseSlices, matrixFragment } from '../../src/ops/matmul-choice.ts';

const square = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };

/** What the choice looks at, of an adapter that this machine need not have. */
function adapter(
  options: {
    kernelStyle?: 'hardware' | 'software';
    configs?: (typeof square)[];
    subgroupSize?: number;
    workgroupBytes?: number;
    features?: string[];
  } = {},
): Gpu {
  const features = options.features ?? ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'];
  return {
    kernelStyle: options.kernelStyle ?? 'hardware',
    adapter: { subgroupMatrixConfigs: options.configs ?? [square], subgroupSize: options.subgroupSize ?? 32 },
    features: new Set(features),
    device: { limits: { maxComputeWorkgroupStorageSize: options.workgroupBytes ?? 49_152 } },
  } as unknown as Gpu;
}

const large = { rows: 1024, columns: 4096, innerQuads: 1024 };

test('matrix units are used where there are fitting ones', () => {
  const fragment = { M: 16, N: 16, K: 16 };
  expect(chooseMatmul(adapter(), large)).toEqual({ variant: 'matrix-4x4', slices: 1, fragment });
  expect(chooseMatmul(adapter(), { ...large, columns: 512 })).toMatchObject({ variant: 'matrix-2x2', slices: 2 });
  // Sixteen KiB hold the smaller tile only.
  expect(chooseMatmul(adapter({ workgroupBytes: 16_384 }), large)).toMatchObject({ variant: 'matrix-2x2' });
  for (const lacking of [
    adapter({ configs: [] }),
    adapter({ configs: [{ ...square, resultComponentType: 'f16' }] }),
    adapter({ configs: [{ ...square, componentType: 'u8' }] }),
    adapter({ subgroupSize: 16 }),
    adapter({ workgroupBytes: 8192 }),
    adapter({ features: ['subgroups', 'chromium-experimental-subgroup-matrix'] }),
  ]) {
    expect(chooseMatmul(lacking, large)).toEqual({ variant: 'tile-8x8', slices: 1 });
    expect(matrixFragment(lacking, 2)).toBeUndefined();
  }
});

test('of several fragments the largest that fits', () => {
  const configs = [{ ...square, M: 8, N: 8, K: 8 }, square, { ...square, K: 32 }, { ...square, N: 8 }];
  expect(matrixFragment(adapter({ configs }), 2)).toEqual({ M: 16, N: 16, K: 16 });
  expect(matrixFragment(adapter({ configs, workgroupBytes: 9000 }), 2)).toEqual({ M: 8, N: 8, K: 8 });
});

test('few rows, and what is small and deep, is cut into slices', () => {
  expect(chooseMatmul(adapter(), { rows: 1, columns: 4096, innerQuads: 1024 })).toEqual({
    variant: 'few-rows',
    slices: 1,
  });
  expect(chooseMatmul(adapter(), { rows: 1, columns: 64, innerQuads: 1024 })).toEqual({
    variant: 'few-rows',
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

test('software adapters get the direct variant, whatever the shape', () => {
  for (const rows of [1, 16, 1024]) {
    expect(chooseMatmul(adapter({ kernelStyle: 'software' }), { ...large, rows })).toEqual({
      variant: 'direct',
      slices: 1,
    });
  }
});
