/**
 * The device of a test file, which also notes the kernels that the file compiles: each must be among the definitions that
 * test/kernels/compile.test.ts compiles for every feature set.
 *
 * @module
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkCase, type KernelCase } from '../../src/bench/case.ts';
import type { OpenDeviceOptions } from '../../src/gpu/device.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { kernelKey } from '../../src/gpu/kernel.ts';
import { definitions } from './definitions.ts';
import { withSeed } from './random.ts';

/** Opens one device for a test file and closes it at the end. */
export function openTestGpu(options: OpenDeviceOptions = {}): () => Gpu {
  let gpu: Gpu | undefined;
  const used = new Set<string>();
  beforeAll(async () => {
    gpu = await Gpu.open(options);
    const compile = gpu.kernel.bind(gpu);
    gpu.kernel = (definition) => {
      used.add(kernelKey(definition));
      return compile(definition);
    };
  });
  afterAll(() => {
    gpu?.close();
    const listed = new Set(Object.values(definitions).flat().map(kernelKey));
    const forgotten = [...used].filter((key) => !listed.has(key));
    expect(forgotten, 'kernels in use that test/support/definitions.ts does not list').toEqual([]);
  });
  return () => gpu!;
}

/** One test per case. */
export function testCases(gpu: () => Gpu, cases: readonly KernelCase[]): void {
  test.each(cases.map((kernelCase) => ({ name: kernelCase.name, kernelCase })))(
    '$name',
    async ({ name, kernelCase }) => {
      await withSeed(`${kernelCase.operation} ${name}`, (random) => checkCase(gpu(), kernelCase, random));
    },
  );
}
