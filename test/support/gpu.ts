/**
 * The device of a test file, which also notes the kernels that the file compiles: each must be among the definitions
 * that test/kernels/compile.test.ts compiles for every feature set.
 *
 * @module
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bed } from '../../src/bench/bed.ts';
import { checkCase, type KernelCase } from '../../src/bench/case.ts';
import type { OpenDeviceOptions } from '../../src/gpu/device.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { kernelKey } from '../../src/gpu/kernel.ts';
import { definitions } from './definitions.ts';
import { Random, testSeed, withSeed } from './random.ts';

/**
 * Which of the many kinds of matrix units a kernel is for does not matter here: one of them is compiled with all flags.
 */
function withoutFragment(key: string): string {
  return key.replace('matrix-main-sized', 'matrix-main').replaceAll(/(FRAGMENT_[MNK]|SUBGROUP)=\d+/g, '$1');
}

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
    const listed = new Set(
      Object.values(definitions)
        .flat()
        .map((definition) => withoutFragment(kernelKey(definition))),
    );
    const forgotten = [...used].filter((key) => !listed.has(withoutFragment(key)));
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

/**
 * Expects the same bits whichever of these variants makes a case: journals do not say which of them did.
 *
 * @param name of the inputs, which all of them get
 */
export async function expectSameBits<Variant extends string>(
  gpu: Gpu,
  name: string,
  variants: readonly Variant[],
  caseOf: (variant: Variant) => KernelCase,
): Promise<void> {
  const bitsOf = async (variant: Variant): Promise<Buffer> => {
    const bed = new Bed(gpu, new Random(testSeed, name));
    const prepared = caseOf(variant).prepare(bed);
    prepared.reset?.();
    const results = await gpu.recorder.read(
      prepared.record().map(({ buffer, rows, columns }) => ({ buffer, bytes: rows * columns * 4 })),
    );
    bed.destroy();
    return Buffer.concat(results.map((result) => Buffer.from(result)));
  };
  const [first, ...others] = variants;
  const expected = await bitsOf(first!);
  for (const variant of others) {
    expect((await bitsOf(variant)).equals(expected), `${variant}, seed ${testSeed}`).toBe(true);
  }
}
