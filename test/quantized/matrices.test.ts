/** Matrices of every format against the values of the formats' own libraries (test/reference/quantized.py). */

import { expect, test } from 'vitest';
import { bytesToF32, f32ToBytes } from '../../src/safetensors/index.ts';
import { fileBytes, isBlocks, repack, storageOfDtype, valuesOfBytes } from '../../src/weights/index.ts';
import { withSeed } from '../support/random.ts';
import { cases, decode, open, weightName } from './support.ts';

test('the fixtures have every storage type and every type of scales', () => {
  expect(new Set(cases.map(({ dtype }) => dtype))).toEqual(
    new Set(['q4z', 'q8z', 'q4m', 'q8m', 'nf4', 'fp4', 'fp8', 'F32', 'F16', 'BF16']),
  );
});

test.each(cases)('$name: $dtype', async ({ config, tensors, shape, dtype, values }) => {
  const source = await open({ config, tensors });
  const expected = new Float32Array(decode(values).buffer);
  expect([...source.tensors.keys()]).toEqual([weightName]);
  const entry = source.tensors.get(weightName)!;
  expect(entry).toMatchObject({ dtype, shape, byteLength: shape[0] * fileBytes(dtype, shape[1]) });
  const bytes = await source.read(weightName);
  expect(bytes.length).toBe(entry.byteLength);
  const actual = valuesOfBytes(dtype, bytes);
  // Widened ones are rounded as the library rounds them.
  const wanted = isBlocks(dtype) ? expected : bytesToF32(dtype, f32ToBytes(dtype as 'F16', expected));
  // bitsandbytes rounds two products in 8 bits, where one is rounded here.
  const rounding = config.load_in_8bit === true ? 1.8e-7 : 0;
  const worst = Math.max(
    ...actual.map((value, index) => Math.abs(value - wanted[index]!) / (Math.abs(wanted[index]!) || 1)),
  );
  expect(worst).toBeLessThanOrEqual(rounding);
  expect(actual.length).toBe(wanted.length);
  // On the GPU the bytes lie as they are, or their values do.
  expect(repack(storageOfDtype(dtype)!, dtype, bytes)).toBe(bytes);
  expect(repack('f32', dtype, bytes)).toEqual(f32ToBytes('F32', actual));
});

test('any range of bytes is that of the whole', async () => {
  await withSeed('ranges of quantised matrices', async (random) => {
    for (const each of cases) {
      const source = await open(each);
      const whole = await source.read(weightName);
      for (let round = 0; round < 4; round++) {
        const start = random.integer(0, whole.length);
        const length = random.integer(0, whole.length - start);
        expect(await source.read(weightName, start, length)).toEqual(whole.slice(start, start + length));
      }
      await expect(source.read(weightName, 1, whole.length)).rejects.toMatchObject({ code: 'invalid_argument' });
    }
  });
});
