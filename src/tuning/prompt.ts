/**
 * Prompt tuning (arXiv 2104.08691): the embeddings of a few virtual tokens in front of every text.
 *
 * @module
 */

import type { Model } from '../model/model.ts';
import { bytesToF32 } from '../safetensors/index.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { dtypeOfStorage, partOf, storageBytes, type Weight } from '../tensor/weight.ts';
import { type Adapter, startTokens } from './adapter.ts';

/** Name of the one tensor [tokens, embedding width], as in PEFT. */
const name = 'prompt_embeddings';

/** Virtual tokens that start as the embeddings of tokens which the seed chooses. */
export async function promptAdapter(
  model: Model,
  configuration: Pick<TrainConfiguration, 'virtualTokens' | 'seed'>,
): Promise<Adapter> {
  const tokens = startTokens(model.configuration, configuration);
  const embedding = model.weight(model.configuration.embedding);
  const values = new Float32Array(tokens.length * embedding.columns);
  for (const [index, row] of (await weightRows(model, embedding, tokens)).entries()) {
    values.set(row, index * embedding.columns);
  }
  return {
    tensors: [{ name, shape: [tokens.length, embedding.columns], values }],
    virtualTokens: tokens.length,
    prompt: name,
  };
}

/** Some rows of a stored weight. */
async function weightRows({ gpu }: Model, weight: Weight, rows: readonly number[]): Promise<Float32Array[]> {
  const bytes = weight.columns * storageBytes[weight.storage];
  const data = await gpu.recorder.read(
    rows.map((row) => {
      const part = partOf(weight, row);
      return { buffer: part.buffer, offset: (row - part.rowStart) * bytes, bytes };
    }),
  );
  return data.map((row) => bytesToF32(dtypeOfStorage[weight.storage], new Uint8Array(row)));
}
