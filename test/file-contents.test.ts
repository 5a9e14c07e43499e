/** Pointers, pages and halves in place of a model's files. */

import { mkdtempSync, readFileSync } from 'node:fs';
import { cp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tellForeignFile } from '../src/file-contents.ts';
import { readConfigurationFile } from '../src/model/load.ts';
import { openModelWeights, openSafetensors, writeSafetensors } from '../src/safetensors/index.ts';
import { loadTokenizer } from '../src/tokenizer/index.ts';

const example = fileURLToPath(new URL('../examples/reviews-3m', import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'subzero-foreign-'));
});
afterAll(() => rm(folder, { recursive: true }));

const contents: [string, string | Uint8Array, string[]][] = [
  [
    'a Git LFS pointer',
    'version https://git-lfs.github.com/spec/v1\noid ' +
      'sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n',
    ['a Git LFS pointer', '`git lfs pull`'],
  ],
  [
    'an HTML page',
    '\n<!DOCTYPE html>\n<html class=""><head></head></html>',
    ['an HTML page', 'download the file again'],
  ],
  ['an HTML page without a declaration', '<html lang="en">', ['an HTML page', 'download the file again']],
  [
    'an XML error',
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>',
    ['an XML document', 'download the file again'],
  ],
  [
    'a JSON error',
    '{"error":"Access to this model is restricted."}',
    ['a JSON document about an error', 'Access to this model is restricted', 'download the file again'],
  ],
  [
    'a JSON error of another service',
    '{"message": "Not Found", "documentation_url": "https://docs.github.com", "status": "404"}',
    ['a JSON document about an error', 'Not Found'],
  ],
  ['a plain answer', 'Entry not found', ['the answer to a failed download']],
  ['nothing', '', ['is empty', 'download the file again']],
  ['zeros', new Uint8Array(5000), ['begins with zeros only']],
  ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3), ['compressed with gzip; unpack it']],
  [
    'PyTorch weights',
    Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 8, 8, 0, 0),
    ['a ZIP archive', 'convert it to safetensors'],
  ],
];

/** Readers by the file that they read. */
const readers: Record<string, (directory: string) => Promise<unknown>> = {
  'model.safetensors': openModelWeights,
  'config.json': readConfigurationFile,
  'tokenizer.json': loadTokenizer,
  'tokenizer_config.json': loadTokenizer,
};

describe.each(Object.entries(readers))('in place of %s', (name, read) => {
  async function failure(content: string | Uint8Array): Promise<{ code?: string; message?: string }> {
    const directory = mkdtempSync(join(folder, 'model-'));
    await cp(example, directory, { recursive: true });
    await writeFile(join(directory, name), content);
    return await read(directory).then(
      () => ({}),
      (error) => error,
    );
  }

  test.each(contents)('%s is told', async (_, content, parts) => {
    const error = await failure(content);
    expect(error).toMatchObject({
      name: 'SubzeroError',
      code: 'invalid_data',
      parameter: expect.stringContaining(name),
    });
    expect(error.message).toContain(join('', name));
    for (const part of parts) expect(error.message).toContain(part);
  });

  test('a download that was cut short is told', async () => {
    const whole = readFileSync(join(example, name));
    for (const share of [0.0005, 0.3, 0.9]) {
      const cut = whole.subarray(0, Math.max(6, Math.floor(whole.length * share)));
      const error = await failure(new Uint8Array(cut));
      expect(error).toMatchObject({ name: 'SubzeroError', code: 'invalid_data' });
      expect(error.message).toMatch(/(cut short|ends in the middle|expected a safetensors file of at least).*again/);
    }
  });
});

test('a shard and an index in another form are told', async () => {
  const directory = mkdtempSync(join(folder, 'shards-'));
  const index = join(directory, 'model.safetensors.index.json');
  await writeFile(index, contents[0]![1]);
  await expect(openModelWeights(directory)).rejects.toThrow(/index\.json is a Git LFS pointer/);
  await writeFile(index, JSON.stringify({ weight_map: { a: 'one.safetensors' } }));
  await writeFile(join(directory, 'one.safetensors'), contents[0]![1]);
  await expect(openModelWeights(directory)).rejects.toThrow(/one\.safetensors is a Git LFS pointer/);
});

test('merges.txt and a chat template in another form are told', async () => {
  const directory = mkdtempSync(join(folder, 'merges-'));
  await writeFile(join(directory, 'vocab.json'), '{"a":0}');
  await writeFile(join(directory, 'merges.txt'), contents[0]![1]);
  await expect(loadTokenizer(directory)).rejects.toThrow(/merges\.txt is a Git LFS pointer/);
  await writeFile(join(directory, 'merges.txt'), '#version: 0.2\n');
  await writeFile(join(directory, 'chat_template.jinja'), contents[1]![1]);
  await expect(loadTokenizer(directory)).rejects.toThrow(/chat_template\.jinja is an HTML page/);
});

test('weights whose length field begins as gzip does are weights', async () => {
  const file = join(folder, 'gzip-like.safetensors');
  const data = () => [Uint8Array.of(1, 2, 3, 4)];
  await writeSafetensors(file, [{ name: 'a', dtype: 'U8', shape: [4], data }]);
  const bytes = readFileSync(file);
  const header = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const length = 0x088b1f;
  const padded = new Uint8Array(8 + length + 4).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(length), true);
  padded.set(bytes.subarray(8, 8 + header), 8);
  padded.set(bytes.subarray(8 + header), 8 + length);
  expect(tellForeignFile(padded.subarray(0, 1024))).toMatch(/gzip/);
  await writeFile(file, padded);
  const source = await openSafetensors(file);
  expect(await source.read('a')).toEqual(Uint8Array.of(1, 2, 3, 4));
  await source.close();
});

test.each([
  '{"model_type":"llama"}',
  '{"error":"x","model_type":"llama"}',
  '{%- for m in messages %}',
  '#version: 0.2',
])('%s is nothing foreign', (text) => expect(tellForeignFile(new TextEncoder().encode(text))).toBeUndefined());
