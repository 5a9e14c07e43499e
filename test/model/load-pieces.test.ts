/** Tensors that reach the GPU in several pieces, the next of which is read while the last is brought there. */

import { mkdtempSync, truncateSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { readConfiguration } from '../../src/model/configuration.ts';
import { loadModel } from '../../src/model/load.ts';
import { parameterShapes } from '../../src/model/parameters.ts';
import { f32ToBytes } from '../../src/safetensors/convert.ts';
import { openModelWeights, writeSafetensors } from '../../src/safetensors/index.ts';
import { OpenedSafetensors } from '../../src/safetensors/reader.ts';
import { weightBytes } from '../../src/train/weight-bytes.ts';
import { codecs, repack } from '../../src/weights/index.ts';
import { withSeed } from '../support/random.ts';

const large = 'model.embed_tokens.weight';

/** Rows of 66 numbers are stored with pads. */
const config = (width: number): Record<string, unknown> => ({
  model_type: 'llama',
  vocab_size: 140_001,
  hidden_size: width,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  intermediate_size: 64,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: true,
});

let gpu: Gpu;
let folder: string;
/** The bytes of the tensors by name. */
let tensors: Map<string, Uint8Array>;
let written = 0;
beforeAll(async () => {
  gpu = await Gpu.open();
  folder = mkdtempSync(join(tmpdir(), 'subzero-pieces-'));
});
afterAll(async () => {
  gpu.close();
  await rm(folder, { recursive: true });
});

/** Writes a checkpoint in BF16, whose embedding takes three pieces, with other numbers in every place of it. */
async function writeModel(width: number): Promise<void> {
  if (written === width) return;
  written = width;
  const shapes = parameterShapes(await readConfiguration(config(width), 'the shape'));
  tensors = await withSeed(`pieces ${width}`, (random) => {
    const values = random.normals(1 << 20, 0.05);
    // A period that fits no piece.
    const period = f32ToBytes('BF16', values.subarray(0, 1_000_003));
    const bytesOf = (count: number): Uint8Array => {
      const bytes = new Uint8Array(2 * count);
      for (let at = 0; at < bytes.length; at += period.length) bytes.set(period.subarray(0, bytes.length - at), at);
      return bytes;
    };
    return new Map(shapes.map(({ name, shape }) => [name, bytesOf(shape.reduce((a, b) => a * b, 1))]));
  });
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    shapes.map(({ name, shape }) => ({ name, dtype: 'BF16', shape, data: () => [tensors.get(name)!] })),
  );
  await writeFile(join(folder, 'config.json'), JSON.stringify(config(width)));
}

test.each([
  { width: 64, storage: 'bf16' },
  { width: 64, storage: 'f16' },
  { width: 64, storage: 'f32' },
  { width: 64, storage: 'q8' },
  { width: 66, storage: 'bf16' },
] as const)('$width columns as $storage are the bytes of the files', async ({ width, storage }) => {
  await writeModel(width);
  const told: number[][] = [];
  const model = await loadModel(gpu, folder, { storage, onProgress: (...progress) => told.push(progress) });
  try {
    for (const [name, weight] of model.weights) {
      // Blocks are read back as the values that they stand for.
      const packed = repack(storage, 'BF16', tensors.get(name)!);
      const expected = storage === 'q8' ? f32ToBytes('F16', codecs.q8.unpack(packed)) : packed;
      const pieces: Uint8Array[] = [];
      for await (const piece of weightBytes(gpu, weight)) pieces.push(piece);
      expect(Buffer.compare(Buffer.concat(pieces), expected), name).toBe(0);
    }
    const source = await openModelWeights(folder);
    expect(model.fingerprint).toBe(await source.fingerprint());
    await source.close();
    const total = [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(told.at(-1)).toEqual([total, total]);
    expect(told.map(([done]) => done)).toEqual(told.map(([done]) => done).sort((a, b) => a! - b!));
  } finally {
    model.destroy();
  }
});

test('a GPU that fails while the next piece is read is an error, and leaves nothing open', async () => {
  await writeModel(64);
  const before = gpu.memory.report().liveBytes;
  const lost = vi.spyOn(gpu, 'idle').mockRejectedValueOnce(new SubzeroError('device_lost', 'gone'));
  const opened = vi.spyOn(OpenedSafetensors, 'open');
  await expect(loadModel(gpu, folder, { storage: 'f32' })).rejects.toMatchObject({ code: 'device_lost' });
  lost.mockRestore();
  expect(gpu.memory.report().liveBytes).toBe(before);
  const source = await opened.mock.results[0]!.value;
  opened.mockRestore();
  await expect(source.read(large, 0, 2)).rejects.toMatchObject({ code: 'conflict' });
});

test('a file that shrinks while it is loaded is an error, and leaves no buffers', async () => {
  await writeModel(64);
  const before = gpu.memory.report().liveBytes;
  const loading = loadModel(gpu, folder, {
    storage: 'bf16',
    onProgress: () => truncateSync(join(folder, 'model.safetensors'), tensors.get(large)!.byteLength / 2),
  });
  await expect(loading).rejects.toMatchObject({ code: 'invalid_data' });
  expect(gpu.memory.report().liveBytes).toBe(before);
});
