/**
 * Logits of whole sequences, for evaluation tools and tests; generation keeps a cache instead.
 *
 * @module
 */

import { contextOverflow } from '../context-overflow.ts';
import type { Probes } from '../ops/probes.ts';
import { NamedBuffers } from '../tensor/named-buffers.ts';
import { Workspace } from '../tensor/workspace.ts';
import { packTexts } from './batch.ts';
import { forward } from './forward.ts';
import { logitsOf } from './head.ts';
import type { Model } from './model.ts';
import { uploadBatch } from './upload-batch.ts';
import { contextLengthOf, leadingTokens } from './virtual-tokens.ts';

/**
 * The logits after every token of one sequence; of a masked language model, those at its place.
 *
 * @returns one [vocabulary] row per token
 * @throws SubzeroError `context_length_exceeded` for more tokens than the context has
 */
export async function sequenceLogits(
  model: Model,
  tokens: readonly number[],
  probes: Probes = model.plainProbes,
): Promise<Float32Array[]> {
  const { gpu, decoder } = model;
  const contextLength = contextLengthOf(model, probes);
  if (tokens.length > contextLength) throw contextOverflow(`it has ${tokens.length} tokens`, contextLength, 'tokens');
  const leading = leadingTokens(model, probes);
  const batch = packTexts([[...leading, ...tokens]], decoder.mask);
  const rows = batch.ids.length;
  const workspace = new Workspace(gpu);
  const buffers = new NamedBuffers(gpu);
  try {
    workspace.reserve(rows * probes.count);
    const context = { gpu, workspace, probes, plans: model.plans };
    const hidden = forward(model, context, {
      ...uploadBatch(model, batch, probes, buffers),
      labelRows: buffers.upload(
        'label rows',
        Uint32Array.from({ length: tokens.length }, (_, index) => leading.length + index),
      ),
      labelCount: tokens.length,
    });
    const logits = logitsOf(model, context, hidden, buffers);
    const width = decoder.vocabularySize;
    const [data] = await gpu.recorder.read([{ buffer: logits, bytes: tokens.length * width * 4 }]);
    return Array.from({ length: tokens.length }, (_, row) => new Float32Array(data!, row * width * 4, width));
  } finally {
    // What a failed pass left recorded must not be submitted once its buffers are gone.
    gpu.recorder.submit();
    workspace.destroy();
    buffers.destroy();
  }
}
