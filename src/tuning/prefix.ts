/**
 * Prefix tuning (arXiv 2101.00190): keys and values of a few virtual tokens in every layer, which every text sees.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { packTexts } from '../model/batch.ts';
import { KeyValueCache } from '../model/cache.ts';
import { keyAxis, keyMakers, recurrents } from '../model/decoder.ts';
import { forward } from '../model/forward.ts';
import type { Model } from '../model/model.ts';
import { uploadBatch } from '../model/upload-batch.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { axisLength, plainAxis, storedLength, withoutPads } from '../tensor/axis.ts';
import { NamedBuffers } from '../tensor/named-buffers.ts';
import { Workspace } from '../tensor/workspace.ts';
import { parameter, words } from '../words.ts';
import { type Adapter, type AdapterTensor, startTokens } from './adapter.ts';

/** Virtual tokens that start with the keys and values of a text of tokens which the seed chooses. */
export async function prefixAdapter(
  model: Model,
  configuration: Pick<TrainConfiguration, 'virtualTokens' | 'seed'>,
): Promise<Adapter> {
  if (recurrents(model.decoder).length > 0) {
    const problem = words`${parameter('scheme')}: "prefix" trains keys and values of every layer`;
    throw new SubzeroError(
      'invalid_argument',
      words`${problem}, and some layers of this model have none; choose another`,
      { parameter: 'scheme' },
    );
  }
  const tokens = startTokens(model.decoder, configuration);
  const activations = await keysAndValues(model, tokens);
  const prefix = activations.map((_, layer) => ({ keys: `prefix.${layer}.keys`, values: `prefix.${layer}.values` }));
  const tensors = keyMakers(model.decoder).flatMap((attention, layer): AdapterTensor[] => {
    const shape = [tokens.length, axisLength(keyAxis(attention))] as const;
    const { keys, values } = activations[layer]!;
    return [
      { name: prefix[layer]!.keys, shape, values: keys },
      { name: prefix[layer]!.values, shape, values },
    ];
  });
  return { tensors, virtualTokens: tokens.length, prefix };
}

/** What a text leaves in the cache: keys (turned by their positions) and values [tokens, key width] of every layer. */
async function keysAndValues(
  model: Model,
  tokens: readonly number[],
): Promise<{ keys: Float32Array; values: Float32Array }[]> {
  const { gpu, decoder } = model;
  const rows = tokens.length;
  const workspace = new Workspace(gpu);
  const buffers = new NamedBuffers(gpu);
  const cache = new KeyValueCache(gpu, model, rows);
  try {
    workspace.reserve(rows);
    const batch = packTexts([tokens], decoder.mask);
    const slots = buffers.upload(
      'slots',
      Uint32Array.from(tokens, (_, row) => row),
    );
    forward(
      model,
      { gpu, workspace, probes: model.plainProbes },
      {
        ...uploadBatch(model, batch, model.plainProbes, buffers),
        labelRows: slots,
        labelCount: rows,
        cache: { cache, slots },
      },
    );
    const axes = keyMakers(decoder).map(keyAxis);
    const data = await gpu.recorder.read(
      axes.flatMap((columns, layer) =>
        [cache.keys[layer]!, cache.values[layer]!].map((buffer) => {
          return { buffer, bytes: rows * storedLength(columns) * 4 };
        }),
      ),
    );
    return axes.map((columns, layer) => {
      const layout = { rows: plainAxis(rows), columns };
      const [keys, values] = [data[2 * layer]!, data[2 * layer + 1]!].map((bytes) =>
        withoutPads(layout, new Float32Array(bytes)),
      );
      return { keys: keys!, values: values! };
    });
  } finally {
    // What a failed pass left recorded must not be submitted once its buffers are gone.
    gpu.recorder.submit();
    workspace.destroy();
    buffers.destroy();
    cache.destroy();
  }
}
