/**
 * Models of a given one's kind and another size, with random weights, as folders.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { readConfiguration } from '../model/configuration.ts';
import { parameterShapes } from '../model/parameters.ts';
import { copyFile, join, mkdir, readdir, readFile, writeFile } from '../platform/index.ts';
import { gaussian, purposes, tensorId } from '../random/philox.ts';
import { diskError } from '../safetensors/disk.ts';
import { f32ToBf16, writeSafetensors } from '../safetensors/index.ts';

/** A size, as multiples of the given model's layers, width and context. */
export interface ModelScale {
  layers: number;
  width: number;
  context: number;
}

/** Fields of config.json that grow with the width; others, such as the width of a head, stay. */
const widths = ['hidden_size', 'intermediate_size', 'num_attention_heads', 'num_key_value_heads'];

/** Values that are drawn once and fill every matrix again and again. */
const block = 1 << 16;

/**
 * Writes a model in bf16 into a folder: matrices of normal numbers (deviation 0.02), gains of 1, biases of 0, the
 * tokenizer of the given one.
 * @returns its number of parameters
 * @throws SubzeroError `unsupported` for a model whose config.json has other fields for its size
 */
export async function writeScaledModel(model: string, size: ModelScale, out: string): Promise<number> {
  const text = await readFile(join(model, 'config.json'), 'utf8').catch((error: unknown) => {
    throw diskError(error, join(model, 'config.json'), 'read');
  });
  const config = JSON.parse(text) as Record<string, unknown>;
  const grow = (field: string, factor: number): void => {
    const value = config[field];
    if (typeof value !== 'number') {
      throw new SubzeroError(
        'unsupported',
        `${model}: config.json has no number "${field}", from which a model of another size could be made; ` +
          'take a model of the Llama family',
      );
    }
    config[field] = value * factor;
  };
  grow('num_hidden_layers', size.layers);
  // What is said of every layer is said of those that come on top.
  for (const [field, value] of Object.entries(config)) {
    if (Array.isArray(value) && field.endsWith('layer_types')) {
      config[field] = Array.from({ length: size.layers }, () => value).flat();
    }
  }
  for (const field of widths) grow(field, size.width);
  grow('max_position_embeddings', size.context);
  const decoder = await readConfiguration(config, `${model}, × ${size.layers} layers, × ${size.width} wide`);
  await mkdir(out, { recursive: true });
  for (const name of await readdir(model)) {
    if (/^(tokenizer.*|special_tokens_map|vocab)\.json$|^merges\.txt$|\.model$/.test(name)) {
      await copyFile(join(model, name), join(out, name));
    }
  }
  await writeFile(join(out, 'config.json'), JSON.stringify(config));
  const shapes = parameterShapes(decoder);
  await writeSafetensors(
    join(out, 'model.safetensors'),
    shapes.map(({ name, shape }) => ({ name, dtype: 'BF16', shape, data: () => valuesOf(name, shape) })),
  );
  return shapes.reduce((sum, { shape }) => sum + elementsOf(shape), 0);
}

function* valuesOf(name: string, shape: readonly number[]): Generator<Uint8Array> {
  const draw = { tensor: tensorId(name), step: 0, purpose: purposes.dense, query: 0 };
  const constant = name.endsWith('.bias') ? 0 : 1;
  const values =
    shape.length > 1
      ? Float32Array.from(gaussian(0, draw, block), (z) => 0.02 * z)
      : new Float32Array(block).fill(constant);
  const bytes = new Uint8Array(f32ToBf16(values).buffer);
  for (let left = 2 * elementsOf(shape); left > 0; left -= bytes.byteLength) yield bytes.subarray(0, left);
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
