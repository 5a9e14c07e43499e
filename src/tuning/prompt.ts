/**
 * Prompt tuning (arXiv 2104.08691): the embeddings of a few virtual tokens in front of every text.
 *
 * @module
 */

import type { Model } from '../model/model.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { partOf, shapeOf, type Weight } from '../tensor/weight.ts';
import { codecs, rowBytes } from '../weights/index.ts';
import { type Adapter, startTokens } from './adapter.ts';

/** Name of the one tensor [tokens, embedding width], as in PEFT. */
const name = 'prompt_embeddings';

/** Virtual tokens that start as the embeddings of tokens which the seed chooses. */
export async function promptAdapter(
  model: Model,
  configuration: Pick<TrainConfiguration, 'virtualTokens' | 'seed'>,
): Promise<Adapter> {
  const tokens = startTokens(model.decoder, configuration);
  const embedding = model.weight(model.decoder.embedding.weight);
  const [, columns] = shapeOf(embedding);
  const values = new Float32Array(tokens.length * columns);
  // Virtual tokens go past the factor of the table's rows, as in PEFT.
  const { embeddingScale = 1 } = model.decoder;
  for (const [index, row] of (await weightRows(model, embedding, tokens)).entries()) {
    values.set(
      row.subarray(0, columns).map((value) => embeddingScale * value),
      index * columns,
    );
  }
  return {
    tensors: [{ name, shape: [tokens.length, columns], values }],
    virtualTokens: tokens.length,
    prompt: name,
  };
}

/** Some rows of a stored weight. */
async function weightRows({ gpu }: Model, weight: Weight, rows: readonly number[]): Promise<Float32Array[]> {
  const bytes = rowBytes(weight.storage, weight.columns);
  const data = await gpu.recorder.read(
    rows.map((row) => {
      const part = partOf(weight, row);
      return { buffer: part.buffer, offset: (row - part.rowStart) * bytes, bytes };
    }),
  );
  return data.map((row) => codecs[weight.storage].unpack(new Uint8Array(row)));
}
