/** The codecs against the reference of the formats, and the names of their files. */

import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromBrain, fromHalf } from '../../src/bench/storage.ts';
import { Memo } from '../../src/memo.ts';
import { codecFile, codecs, repack, rowBytes, storageOfDtype, storages } from '../../src/weights/index.ts';

describe.each(storages)('%s', (storage) => {
  const codec = codecs[storage];

  test('has its name, its kernel file and whole blocks in a row', () => {
    expect(codec.name).toBe(storage);
    expect(existsSync(`kernels/${codecFile(storage)}`)).toBe(true);
    expect(rowBytes(storage, 12)).toBe((12 / codec.block.elements) * codec.block.bytes);
    expect(storageOfDtype(codec.dtype)).toBe(storage);
  });

  test('packs values that it can hold without a change', () => {
    const values = Float32Array.from([0, -0, 1, -1.5, 2 ** -10, 0.375, 240, -3]);
    const bytes = codec.pack(values);
    expect(bytes.byteLength).toBe(rowBytes(storage, values.length));
    expect([...codec.unpack(bytes)]).toEqual([...values]);
  });

  test('keeps the bytes of its own dtype and converts those of others', () => {
    const values = Float32Array.from([1, -2, 0.5, 4]);
    const own = codec.pack(values);
    expect(repack(storage, codec.dtype, own)).toBe(own);
    expect([...repack(storage, 'F32', codecs.f32.pack(values))]).toEqual([...own]);
  });
});

test('16-bit values are those of the formats', () => {
  for (let bits = 0; bits < 0x7c00; bits += 37) {
    const bytes = new Uint8Array(Uint16Array.of(bits).buffer);
    expect(codecs.f16.unpack(bytes)[0]).toBe(fromHalf(bits));
    expect(codecs.bf16.unpack(bytes)[0]).toBe(fromBrain(bits));
  }
});

test('a memo makes each value once and confuses no keys', () => {
  const memo = new Memo<string>();
  let made = 0;
  const of = (...keys: (string | number | boolean | undefined)[]): string =>
    memo.get(keys, () => {
      made++;
      return JSON.stringify(keys);
    });
  for (const keys of [
    ['a', 1, true],
    ['a', '1', true],
    ['a', 1, false],
    ['b', 1, true],
    ['a', undefined, true],
  ]) {
    expect(of(...keys)).toBe(JSON.stringify(keys));
    expect(of(...keys)).toBe(JSON.stringify(keys));
  }
  expect(made).toBe(5);
});
