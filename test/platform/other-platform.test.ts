/** Another platform in the place of Node's: files live in a Map, as a browser build would keep them. */

import { createHash } from 'node:crypto';
import { beforeEach, expect, test, vi } from 'vitest';
import { readLines } from '../../src/data/lines.ts';
import { SubzeroError } from '../../src/errors.ts';
import { kernelSource } from '../../src/gpu/kernel.ts';
import type { FileHandle, OpenFlags, Platform } from '../../src/platform/platform.ts';
import { openModelWeights, writeSafetensors } from '../../src/safetensors/index.ts';
import { openMetrics, readMetrics, truncateMetrics } from '../../src/train/metrics.ts';

const disk = vi.hoisted(() => {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const log: string[] = [];
  return { files, log };
});

vi.mock('../../src/platform/node.ts', () => {
  const { files, log } = disk;
  const failure = (code: string): Error => Object.assign(new Error(code), { code });
  const content = (path: string): Uint8Array<ArrayBuffer> => {
    const bytes = files.get(path);
    if (!bytes) throw failure('ENOENT');
    return bytes;
  };
  const open = async (path: string, flags: OpenFlags): Promise<FileHandle> => {
    if (flags.endsWith('x') && files.has(path)) throw failure('EEXIST');
    if (flags.startsWith('w') || (flags.startsWith('a') && !files.has(path))) files.set(path, new Uint8Array());
    content(path);
    return {
      async read(target, offset, length, position) {
        const part = content(path).subarray(position, position + length);
        target.set(part, offset);
        return { bytesRead: part.length };
      },
      async write(source, offset, length, position) {
        const before = content(path);
        const start = flags.startsWith('a') ? before.length : position;
        const after = new Uint8Array(Math.max(before.length, start + length));
        after.set(before);
        after.set(source.subarray(offset, offset + length), start);
        files.set(path, after);
        return { bytesWritten: length };
      },
      stat: async () => ({ size: content(path).length }),
      truncate: async (bytes) => void files.set(path, content(path).slice(0, bytes)),
      sync: async () => void log.push(`sync ${path}`),
      datasync: async () => void log.push(`datasync ${path}`),
      close: async () => {},
    };
  };
  const platform: Partial<Platform> = {
    open,
    join: (...parts) => parts.join('/'),
    dirname: (path) => path.slice(0, path.lastIndexOf('/')),
    stat: async (path) => ({ size: content(path).length, mtimeMs: 0, isFile: () => true, isDirectory: () => false }),
    rename: async (from, to) => {
      files.set(to, content(from));
      files.delete(from);
    },
    rm: async (path) => void files.delete(path),
    readdir: async () => [],
    async *readStream(path) {
      const bytes = content(path);
      // Pieces that end within lines and characters.
      for (let start = 0; start < bytes.length; start += 3) yield bytes.subarray(start, start + 3);
    },
    createHash: () => createHash('sha256'),
    readPackageFile: (path) => new TextEncoder().encode(`// ${path}`),
  };
  return { platform };
});

beforeEach(() => disk.files.clear());

test('weights are written and read', async () => {
  const values = Float32Array.of(1, -2, 3, 0.5);
  const data = () => [new Uint8Array(values.buffer)];
  await writeSafetensors('/m/model.safetensors', [{ name: 'a', dtype: 'F32', shape: [2, 2], data }]);
  expect([...disk.files.keys()]).toEqual(['/m/model.safetensors']);
  expect(disk.log).toContain('sync /m/model.safetensors.partial');
  const weights = await openModelWeights('/m');
  expect(new Float32Array((await weights.read('a')).buffer)).toEqual(values);
  const digest = createHash('sha256').update(disk.files.get('/m/model.safetensors')!).digest('hex');
  expect(await weights.fingerprint()).toBe(digest);
  await weights.close();
  await expect(openModelWeights('/other')).rejects.toThrow(SubzeroError);
});

test('metrics are appended, read and cut', async () => {
  const metrics = await openMetrics('/run/metrics.jsonl');
  for (const step of [1, 2, 3]) await metrics.append({ step, loss: step / 2 });
  await metrics.close();
  expect(await truncateMetrics('/run/metrics.jsonl', 2)).toEqual({ kept: 2, removed: 1 });
  expect(await readMetrics('/run/metrics.jsonl')).toEqual([
    { step: 1, loss: 0.5 },
    { step: 2, loss: 1 },
  ]);
});

test('data and kernels are read', async () => {
  disk.files.set('/rows.txt', new TextEncoder().encode('first\r\n\nätherisch\nlast'));
  const lines = [];
  for await (const line of readLines('/rows.txt')) lines.push(line);
  expect(lines).toEqual([
    { text: 'first', number: 1 },
    { text: 'ätherisch', number: 3 },
    { text: 'last', number: 4 },
  ]);
  expect(kernelSource('rows.wgsl')).toBe('// kernels/rows.wgsl');
});
