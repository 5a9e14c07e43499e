import { createHash } from 'node:crypto';
import { copyFile, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openModelWeights, openSafetensors, writeSafetensors } from '../../src/safetensors/index.ts';
import { expectFailure, layOut, temporaryDirectory } from './helpers.ts';

const root = await temporaryDirectory();
const example = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));

/** Writes a model of two shards and returns its directory. */
async function shardedModel(name: string, map: Record<string, unknown> | string = {}): Promise<string> {
  const directory = join(root, name);
  await mkdir(directory);
  const tensor = (name: string, byte: number) => ({
    name,
    dtype: 'U8' as const,
    shape: [4],
    data: () => [new Uint8Array(4).fill(byte)],
  });
  await writeSafetensors(join(directory, 'one.safetensors'), [tensor('a', 1), tensor('b', 2)], { format: 'pt' });
  await writeSafetensors(join(directory, 'two.safetensors'), [tensor('c', 3)]);
  const index =
    typeof map === 'string'
      ? map
      : JSON.stringify({
          metadata: { total_size: 12 },
          weight_map: { c: 'two.safetensors', a: 'one.safetensors', b: 'one.safetensors', ...map },
        });
  await writeFile(join(directory, 'model.safetensors.index.json'), index);
  return directory;
}

test('the example model opens, and its fingerprint is the hash of its file', async () => {
  const weights = await openModelWeights(example);
  const bytes = await readFile(join(example, 'model.safetensors'));
  expect(weights.tensors.get('model.embed_tokens.weight')).toMatchObject({ dtype: 'BF16', shape: [4096, 192] });
  expect(weights.metadata).toEqual({ format: 'pt' });
  expect(weights.files).toEqual([join(example, 'model.safetensors')]);
  const total = [...weights.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  const last = [...weights.tensors.values()].at(-1)!;
  expect(await weights.read(last.name)).toEqual(new Uint8Array(bytes.subarray(bytes.length - last.byteLength)));
  expect(total).toBeLessThan(bytes.length);
  expect(await weights.fingerprint()).toBe(createHash('sha256').update(bytes).digest('hex'));
  await weights.close();
});

test('shards are shown as one model', async () => {
  const directory = await shardedModel('sharded');
  const weights = await openModelWeights(directory);
  expect([...weights.tensors.keys()].sort()).toEqual(['a', 'b', 'c']);
  expect(await weights.read('b')).toEqual(Uint8Array.of(2, 2, 2, 2));
  expect(await weights.read('c', 1, 2)).toEqual(Uint8Array.of(3, 3));
  expect(weights.metadata).toEqual({ format: 'pt' });
  await expectFailure(weights.read('d'), 'not_found', '"d"', 'one.safetensors', 'two.safetensors');
  const hash = createHash('sha256');
  for (const name of ['one', 'two']) hash.update(await readFile(join(directory, `${name}.safetensors`)));
  expect(await weights.fingerprint()).toBe(hash.digest('hex'));
  await weights.close();
});

test('a tensor of a shard that the index leaves out is shown; one in two shards is refused', async () => {
  const extra = (name: string) => ({ name, dtype: 'U8' as const, shape: [1], data: () => [Uint8Array.of(9)] });
  const directory = await shardedModel('beside');
  const c = { name: 'c', dtype: 'U8' as const, shape: [4], data: () => [new Uint8Array(4).fill(3)] };
  await writeSafetensors(join(directory, 'two.safetensors'), [c, extra('d')]);
  const weights = await openModelWeights(directory);
  expect(await weights.read('d')).toEqual(Uint8Array.of(9));
  await weights.close();
  await writeSafetensors(join(directory, 'two.safetensors'), [c, extra('a')]);
  await expectFailure(openModelWeights(directory), 'invalid_data', '"a"', 'one.safetensors', 'two.safetensors');
});

test('model.safetensors wins over an index', async () => {
  const directory = await shardedModel('both');
  await copyFile(join(directory, 'two.safetensors'), join(directory, 'model.safetensors'));
  const weights = await openModelWeights(directory);
  expect([...weights.tensors.keys()]).toEqual(['c']);
  await weights.close();
});

test('a missing shard is named', async () => {
  const directory = await shardedModel('missing');
  await rm(join(directory, 'two.safetensors'));
  await expectFailure(openModelWeights(directory), 'not_found', 'two.safetensors', 'index.json');
});

test('a tensor that its shard does not have is named', async () => {
  const directory = await shardedModel('astray', { c: 'one.safetensors' });
  await expectFailure(openModelWeights(directory), 'invalid_data', '"c"', 'one.safetensors');
});

test.each([
  '../two.safetensors',
  '/etc/two.safetensors',
  'sub/two.safetensors',
  'sub\\two.safetensors',
  'C:two.safetensors',
  'two.safetensors\u0000',
  '.safetensors/..',
  'two.bin',
  '..',
  '',
  7,
])('the shard name %j is refused', async (shardName) => {
  const directory = await shardedModel(`name-${Buffer.from(String(shardName)).toString('hex')}`, { c: shardName });
  await expectFailure(openModelWeights(directory), 'invalid_data', '"c"', 'plain name');
});

test.each([
  ['broken JSON', '{', 'not valid JSON'],
  ['no map', '{}', 'weight_map'],
  ['null', 'null', 'weight_map'],
  ['a list as map', '{"weight_map":[]}', 'weight_map'],
  ['an empty map', '{"weight_map":{}}', 'at least one tensor'],
  ['a tensor named twice', '{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}', 'twice'],
])('an index with %s is refused', async (name, index, part) => {
  await expectFailure(openModelWeights(await shardedModel(name, index)), 'invalid_data', 'index.json', part);
});

test('a broken shard is named', async () => {
  const directory = await shardedModel('broken');
  await writeFile(join(directory, 'two.safetensors'), layOut('{}', new Uint8Array(4)));
  await expectFailure(openModelWeights(directory), 'invalid_data', 'two.safetensors');
});

test('a directory without weights says what it has', async () => {
  const directory = join(root, 'empty');
  await mkdir(directory);
  await expectFailure(openModelWeights(directory), 'not_found', directory, 'model.safetensors');
  await writeFile(join(directory, 'pytorch_model.bin'), '');
  await expectFailure(openModelWeights(directory), 'not_found', 'pytorch_model.bin', 'convert');
  await expectFailure(openModelWeights(join(root, 'nowhere')), 'not_found', 'nowhere');
});

test('the fingerprint of a large file samples it: sizes, header and spread blocks count', async () => {
  const size = 400 * 1024 * 1024;
  const file = join(root, 'large.safetensors');
  const header = layOut(`{"a":{"dtype":"U8","shape":[${size}],"data_offsets":[0,${size}]}}`);
  const handle = await open(file, 'w');
  await handle.write(header);
  await handle.truncate(header.length + size);
  const fingerprint = async () => {
    const opened = await openSafetensors(file);
    const value = await opened.fingerprint();
    await opened.close();
    return value;
  };
  const before = await fingerprint();
  for (const position of [header.length, header.length + size - 1]) {
    await handle.write(Uint8Array.of(1), 0, 1, position);
    expect(await fingerprint()).not.toBe(before);
    await handle.write(Uint8Array.of(0), 0, 1, position);
  }
  // A change of every tensor, as training makes it, is seen wherever it falls.
  for (let position = header.length; position < size; position += 1024 * 1024) {
    await handle.write(Uint8Array.of(1), 0, 1, position);
  }
  const after = await fingerprint();
  expect(after).not.toBe(before);
  expect(await fingerprint()).toBe(after);
  await handle.close();
  await rm(file);
});
