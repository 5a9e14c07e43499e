import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSafetensors, type TensorToWrite, writeSafetensors } from '../../src/safetensors/index.ts';
import { expectFailure, temporaryDirectory } from './helpers.ts';

const directory = await temporaryDirectory();

const bytesFrom = (start: number, length: number) => Uint8Array.from({ length }, (_, i) => start + i);

const tensor = (name: string, dtype: TensorToWrite['dtype'], shape: number[], ...pieces: Uint8Array[]) => ({
  name,
  dtype,
  shape,
  data: () => pieces,
});

test('what is written is read back', async () => {
  const file = join(directory, 'round.safetensors');
  async function* later() {
    yield bytesFrom(0, 3);
    yield new Uint8Array(0);
    yield bytesFrom(3, 5);
  }
  await writeSafetensors(
    file,
    [
      tensor('odd', 'U8', [3], bytesFrom(50, 3)),
      { name: 'late', dtype: 'F32', shape: [2, 1], data: later },
      tensor('scalar', 'F64', [], bytesFrom(80, 8)),
      tensor('empty', 'F16', [0]),
      tensor('__proto__', 'BF16', [1, 1], bytesFrom(90, 2)),
      tensor('"ü\n', 'F32', [1], bytesFrom(70, 4)),
    ],
    { format: 'pt', __proto__key: 'x' },
  );
  const opened = await openSafetensors(file);
  expect(await opened.read('odd')).toEqual(bytesFrom(50, 3));
  expect(await opened.read('late')).toEqual(bytesFrom(0, 8));
  expect(await opened.read('scalar')).toEqual(bytesFrom(80, 8));
  expect(await opened.read('__proto__')).toEqual(bytesFrom(90, 2));
  expect(await opened.read('"ü\n')).toEqual(bytesFrom(70, 4));
  expect(opened.tensors.get('empty')).toMatchObject({ dtype: 'F16', shape: [0], byteLength: 0 });
  expect(opened.metadata).toEqual({ format: 'pt', __proto__key: 'x' });
  await opened.close();

  const bytes = await readFile(file);
  const headerBytes = Number(bytes.readBigUInt64LE());
  expect(headerBytes % 8).toBe(0);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<string, { data_offsets: number[] }>;
  // Wide elements first, so that each tensor is aligned for its type.
  expect(header.scalar!.data_offsets).toEqual([0, 8]);
  expect(header.late!.data_offsets).toEqual([8, 16]);
  expect(header['"ü\n']!.data_offsets).toEqual([16, 20]);
  expect(header.odd!.data_offsets).toEqual([22, 25]);
});

test('an existing file is replaced, and only when the new one is complete', async () => {
  const file = join(directory, 'replaced.safetensors');
  await writeFile(file, 'old');
  const failing: TensorToWrite = {
    name: 'a',
    dtype: 'U8',
    shape: [4],
    *data() {
      yield bytesFrom(0, 2);
      throw new TypeError('the source broke');
    },
  };
  await expect(writeSafetensors(file, [failing])).rejects.toThrow(new TypeError('the source broke'));
  expect(await readFile(file, 'utf8')).toBe('old');
  expect(existsSync(`${file}.partial`)).toBe(false);
  await writeSafetensors(file, [tensor('a', 'U8', [4], bytesFrom(0, 4))]);
  const opened = await openSafetensors(file);
  expect(await opened.read('a')).toEqual(bytesFrom(0, 4));
  await opened.close();
});

test.each([
  [3, 'got 3'],
  [0, 'got 0'],
  [5, 'got at least 5'],
])('a tensor of 4 bytes that gets %i is refused, and leaves nothing behind', async (length, part) => {
  const target = join(directory, `wrong-${length}`);
  await mkdir(target);
  const writing = writeSafetensors(join(target, 'a.safetensors'), [tensor('w', 'F32', [1], bytesFrom(0, length))]);
  await expectFailure(writing, 'invalid_data', '"w"', 'expected 4 bytes', part);
  expect(await readdir(target)).toEqual([]);
});

test.each<[string, TensorToWrite[], Record<string, string>, string]>([
  ['a name twice', [tensor('a', 'U8', [0]), tensor('a', 'U8', [0])], {}, 'twice'],
  ['the reserved name', [tensor('__metadata__', 'U8', [0])], {}, 'cannot be used'],
  ['a name that is no Unicode', [tensor('\ud800', 'U8', [0])], {}, 'cannot be used'],
  ['a negative dimension', [tensor('a', 'U8', [-1])], {}, '[-1]'],
  ['too many bytes', [tensor('a', 'F64', [2 ** 52])], {}, '2^53'],
  ['an unknown dtype', [tensor('a', 'F31' as 'F32', [0])], {}, 'F31'],
  ['metadata that is no text', [], { a: 1 as unknown as string }, '"a"'],
])('%s is refused', async (name, tensors, metadata, part) => {
  const file = join(directory, `${name}.safetensors`);
  await expectFailure(writeSafetensors(file, tensors, metadata), 'invalid_argument', part);
  expect(existsSync(`${file}.partial`)).toBe(false);
});

test('a directory that does not exist is named', async () => {
  const file = join(directory, 'nowhere', 'a.safetensors');
  await expectFailure(writeSafetensors(file, []), 'not_found', 'nowhere');
});

test('a directory in the place of the file is an error of the disk', async () => {
  const file = join(directory, 'occupied.safetensors');
  await mkdir(join(file, 'inside'), { recursive: true });
  await expectFailure(writeSafetensors(file, []), 'io', file);
  expect(existsSync(`${file}.partial`)).toBe(false);
});

test.runIf(existsSync('/dev/full'))('a full disk is said to be full', async () => {
  const file = join(directory, 'full.safetensors');
  await symlink('/dev/full', `${file}.partial`);
  await expectFailure(writeSafetensors(file, [tensor('a', 'U8', [4], bytesFrom(0, 4))]), 'io', 'disk is full');
  expect(existsSync(`${file}.partial`)).toBe(false);
});
