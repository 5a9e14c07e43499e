/**
 * Texts as vectors: hidden states after the final norm, pooled over the tokens.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Probes } from '../ops/probes.ts';
import { axisLength } from '../tensor/axis.ts';
import { NamedBuffers } from '../tensor/named-buffers.ts';
import { Workspace } from '../tensor/workspace.ts';
import { packTexts } from './batch.ts';
import { forward, widestActivation } from './forward.ts';
import type { Model } from './model.ts';
import { uploadBatch } from './upload-batch.ts';
import { leadingTokens } from './virtual-tokens.ts';

/**
 * `mean` = over all tokens; `last` = the last token, which is the only one that a causal model shows the whole text.
 */
export type Pooling = 'mean' | 'last';

/** Most rows of a pass. */
const passRows = 2048;

/**
 * One vector for each sequence, scaled to length 1.
 *
 * @param sequences token ids, none empty, none longer than the context
 * @returns vectors [embedding width], in the order of the sequences
 * @throws SubzeroError `out_of_memory` when one sequence does not fit into a pass
 */
export async function embedSequences(
  model: Model,
  sequences: readonly (readonly number[])[],
  pooling: Pooling,
  probes: Probes = model.plainProbes,
  signal?: AbortSignal,
): Promise<Float32Array<ArrayBuffer>[]> {
  const binding = Math.floor(model.gpu.device.limits.maxStorageBufferBindingSize / 4 / widestActivation(model));
  const budget = Math.min(Math.max(passRows, model.decoder.contextLength), binding);
  const workspace = new Workspace(model.gpu);
  const buffers = new NamedBuffers(model.gpu);
  const vectors: Float32Array<ArrayBuffer>[] = [];
  const leading = leadingTokens(model, probes);
  const rowsOf = ({ length }: readonly number[]) => leading.length + length;
  try {
    while (vectors.length < sequences.length) {
      if (signal?.aborted) throw new SubzeroError('cancelled', 'the embedding was stopped before its end');
      let rows = 0;
      let end = vectors.length;
      while (end < sequences.length && rows + rowsOf(sequences[end]!) <= budget) rows += rowsOf(sequences[end++]!);
      if (rows === 0) {
        throw new SubzeroError(
          'out_of_memory',
          `a text of ${sequences[end]!.length} tokens does not fit into a pass of ${budget} rows`,
          { parameter: 'input' },
        );
      }
      vectors.push(
        ...(await embedPass(model, sequences.slice(vectors.length, end), leading, pooling, probes, workspace, buffers)),
      );
    }
    return vectors;
  } finally {
    // What a failed pass left recorded must not be submitted once its buffers are gone.
    model.gpu.recorder.submit();
    workspace.destroy();
    buffers.destroy();
  }
}

async function embedPass(
  model: Model,
  sequences: readonly (readonly number[])[],
  leading: readonly number[],
  pooling: Pooling,
  probes: Probes,
  workspace: Workspace,
  buffers: NamedBuffers,
): Promise<Float32Array<ArrayBuffer>[]> {
  const { gpu } = model;
  const batch = packTexts(
    sequences.map((tokens) => [...leading, ...tokens]),
    model.decoder.mask,
  );
  const rows = batch.ids.length;
  const labels: number[] = [];
  let start = 0;
  for (const { length } of sequences) {
    start += leading.length;
    for (let row = pooling === 'last' ? length - 1 : 0; row < length; row++) labels.push(start + row);
    start += length;
  }
  workspace.reserve(rows * probes.count);
  gpu.recorder.divide();
  const hidden = forward(
    model,
    { gpu, workspace, probes, plans: model.plans },
    {
      ...uploadBatch(model, batch, probes, buffers),
      labelRows: buffers.upload('label rows', new Uint32Array(labels)),
      labelCount: labels.length,
    },
  );
  workspace.give(hidden);
  const stride = hidden.columns;
  const [data] = await gpu.recorder.readInTurns([{ buffer: hidden.buffer, bytes: labels.length * stride * 4 }]);
  const states = new Float32Array(data!);
  const width = axisLength(model.decoder.embedding.columns);
  let row = 0;
  return sequences.map(({ length }) => {
    const count = pooling === 'last' ? 1 : length;
    const sum = new Float64Array(width);
    for (let token = 0; token < count; token++, row++) {
      for (let column = 0; column < width; column++) sum[column]! += states[row * stride + column]!;
    }
    const norm = Math.hypot(...sum) || 1;
    return Float32Array.from(sum, (value) => value / norm);
  });
}
