/**
 * Checkpoints of a given shape with random weights, as a Hugging Face directory.
 *
 * @module
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfiguration } from '../../src/model/configuration.ts';
import { parameterShapes } from '../../src/model/parameters.ts';
import { gaussian } from '../../src/random/philox.ts';
import { f32ToBytes } from '../../src/safetensors/convert.ts';
import { writeSafetensors } from '../../src/safetensors/writer.ts';

/** Numbers drawn; every tensor takes them again and again. */
const drawn = 1 << 20;

/** Writes config.json and model.safetensors: all parameters in BF16, normal numbers of deviation 0.02. */
export async function writeRandomCheckpoint(folder: string, config: Record<string, unknown>): Promise<void> {
  const decoder = await readConfiguration(config, 'the given shape');
  const values = Float32Array.from(gaussian(0, { tensor: 0, step: 0, purpose: 0, query: 0 }, drawn), (z) => 0.02 * z);
  const bytes = f32ToBytes('BF16', values);
  function* repeated(length: number): Iterable<Uint8Array> {
    for (let at = 0; at < length; at += bytes.length) yield bytes.subarray(0, Math.min(bytes.length, length - at));
  }
  const tensors = parameterShapes(decoder).map(({ name, shape }) => {
    const length = shape.reduce((product, size) => product * size, 2);
    return { name, dtype: 'BF16' as const, shape, data: () => repeated(length) };
  });
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
}
