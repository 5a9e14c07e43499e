/**
 * Small models of any shape with random weights, written as a model directory.
 *
 * @module
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfiguration } from '../../../src/model/configuration.ts';
import { parameterShapes } from '../../../src/model/parameters.ts';
import { f32ToBytes, writeSafetensors } from '../../../src/safetensors/index.ts';
import type { Random } from '../random.ts';

export interface RandomModel {
  directory: string;
  /** What config.json says, for failures. */
  config: Record<string, unknown>;
  /** All weights in float64, exactly as stored. */
  parameters: Map<string, Float64Array>;
  remove(): Promise<void>;
}

/** @param overrides fields of config.json that are not left to chance */
export async function writeRandomModel(random: Random, overrides: Record<string, unknown> = {}): Promise<RandomModel> {
  const keyHeads = random.integer(1, 2);
  // Half of the models have widths that are multiples of 4, as kernels read them; the others are stored with pads.
  const unit = random.uniform() < 0.5 ? 4 : 1;
  const width = (low: number, high: number) => unit * random.integer((4 / unit) * low, (4 / unit) * high);
  const shared = {
    vocab_size: random.integer(7, 90),
    intermediate_size: width(1, 15),
    num_hidden_layers: random.integer(1, 2),
  };
  const heads = random.integer(1, 3);
  const masked: Record<string, unknown> = {
    ...shared,
    hidden_size: heads * width(1, 4),
    num_attention_heads: heads,
    max_position_embeddings: 64,
    type_vocab_size: random.integer(1, 3),
    layer_norm_eps: 1e-5,
    tie_word_embeddings: random.uniform() < 0.5,
  };
  const causal: Record<string, unknown> = {
    ...shared,
    model_type: 'llama',
    hidden_size: width(2, 11),
    num_attention_heads: keyHeads * random.integer(1, 3),
    num_key_value_heads: keyHeads,
    head_dim: unit === 4 ? 4 * random.integer(1, 3) : 2 * random.integer(1, 7),
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: random.uniform() < 0.5,
  };
  const config = /bert/.test(String(overrides.model_type)) ? masked : causal;
  const biased = random.uniform() < 0.5;
  // Biases of all linear layers are a Llama's.
  const ofLlama = { attention_bias: biased, mlp_bias: biased };
  Object.assign(config, (overrides.model_type ?? 'llama') === 'llama' ? ofLlama : {}, overrides);
  const configuration = readConfiguration(config, 'config.json');
  const directory = await mkdtemp(join(tmpdir(), 'subzero-random-model-'));
  const parameters = new Map<string, Float64Array>();
  const tensors = parameterShapes(configuration).map(({ name, shape }) => {
    const count = shape.reduce((product, size) => product * size, 1);
    // Gains near 1, biases small, matrices that keep the size of their input.
    const values =
      shape.length === 2
        ? random.normals(count, 1 / Math.sqrt(shape[1]!))
        : random.normals(count, 0.2, name.endsWith('.bias') ? 0 : 1);
    parameters.set(name, Float64Array.from(values));
    return { name, dtype: 'F32' as const, shape, data: () => [f32ToBytes('F32', values)] };
  });
  await writeFile(join(directory, 'config.json'), JSON.stringify(config));
  await writeSafetensors(join(directory, 'model.safetensors'), tensors);
  return { directory, config, parameters, remove: () => rm(directory, { recursive: true, force: true }) };
}
