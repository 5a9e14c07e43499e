/** The codecs against the reference of the formats, and the names of their files. */

import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromBrain, fromHalf, store } from '../../src/bench/storage.ts';
import { Memo } from '../../src/memo.ts';
import {
  codecFile,
  codecs,
  isPlain,
  packableStorages,
  repack,
  rowBytes,
  storageOfDtype,
  storages,
  type WritableStorage,
} from '../../src/weights/index.ts';
import { withSeed } from '../support/random.ts';

describe.each(storages)('%s', (storage) => {
  const codec = codecs[storage];

  test('has its name, its kernel file and whole blocks in a row', () => {
    expect(codec.name).toBe(storage);
    expect(existsSync(`kernels/${codecFile(storage)}`)).toBe(true);
    expect(rowBytes(storage, 3 * codec.block.elements)).toBe(3 * codec.block.bytes);
  });

  test('has the values that the reference gives its bits', async () => {
    await withSeed(`codec ${storage}`, async (random) => {
      const columns = 3 * codec.block.elements;
      const { bits, values } = store(random.normals(2 * columns, 0.05), 2, columns, storage);
      const stored = codec.unpack(new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength));
      expect(Array.from(stored, (value) => value + 0)).toEqual(Array.from(values, (value) => value + 0));
    });
  });
});

describe.each(storages.filter(isPlain) as WritableStorage[])('plain %s', (storage) => {
  const codec = codecs[storage];

  test('is the type of its files', () => {
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

describe.each(packableStorages.filter((storage) => !isPlain(storage)))('quantised %s', (storage) => {
  const { pack, unpack, block } = codecs[storage];

  test('is within half a step of what it stores', async () => {
    await withSeed(`quantise ${storage}`, async (random) => {
      const values = random.normals(8 * block.elements, 0.05);
      const stored = unpack(pack(values));
      for (let group = 0; group < values.length; group += 32) {
        const own = values.subarray(group, group + 32);
        const largest = Math.max(...own.map(Math.abs));
        // q4 reaches 8 steps to the side of the largest value, and 7 to the other.
        const [half, edge] = storage === 'q8' ? [largest / 127 / 2, 0.07] : [largest / 8 / 2, 1];
        for (const [index, value] of own.entries()) {
          const error = Math.abs(value - stored[group + index]!);
          const clamped = Math.abs(value) > largest * (storage === 'q8' ? 0.99 : 0.93);
          expect(error).toBeLessThanOrEqual(half * (1.002 + (clamped ? 2 * edge : 0)));
        }
      }
    });
  });

  test('rounds each value to the nearest code of its group', async () => {
    await withSeed(`codes ${storage}`, (random) => {
      const values = random.normals(32 * block.elements, 1);
      const reach = storage === 'q8' ? 127 : -8;
      for (let group = 0; group < values.length; group += 32) {
        const own = values.subarray(group, group + 32);
        // From where scales are 0 or have few bits to where they are infinite.
        const factor = 2 ** (((group / 32) % 48) - 26);
        // Half of the groups lie on halves of a scale, so that ties are met; the scale is that of the largest.
        const onHalves = group % 64 === 0;
        for (const [index, value] of own.entries())
          own[index] = factor * (onHalves ? Math.max(-Math.abs(reach), Math.round(6 * value) / 2) : value);
        if (onHalves) own[7] = factor * (storage === 'q8' ? -127 : -8);
      }
      const stored = unpack(pack(values));
      for (let group = 0; group < values.length; group += 32) {
        const own = values.subarray(group, group + 32);
        const extreme = own.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
        const wished = Float32Array.of((reach > 0 ? Math.abs(extreme) : extreme) / reach);
        const scale = codecs.f16.unpack(codecs.f16.pack(wished))[0]!;
        const [lowest, highest] = reach > 0 ? [-reach, reach] : [reach, -reach - 1];
        const expected = [...own].map((value) => {
          const code = scale === 0 ? 0 : Math.max(lowest, Math.min(highest, Math.round(value / scale)));
          return scale * code + 0;
        });
        expect([...stored.subarray(group, group + 32)].map((value) => value + 0)).toEqual(expected);
      }
    });
  });

  test('keeps what it can hold, zeros, and the sign of a broken weight', () => {
    const values = Float32Array.from({ length: 2 * block.elements }, (_, index) =>
      index < block.elements ? (index % 16) - 8 : 0,
    );
    // The scale of every group is a power of two.
    if (storage === 'q8') for (let group = 0; group < block.elements; group += 32) values[group] = -127;
    expect([...unpack(pack(values))].map((value) => value + 0)).toEqual([...values]);
    values[3] = Number.NaN;
    values[40] = Number.POSITIVE_INFINITY;
    const broken = unpack(pack(values));
    expect(broken.subarray(0, 32).some(Number.isNaN)).toBe(true);
    expect(broken.subarray(32, 64).every(Number.isFinite)).toBe(false);
    expect([...broken.subarray(64)].map((value) => value + 0)).toEqual([...values.subarray(64)]);
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
