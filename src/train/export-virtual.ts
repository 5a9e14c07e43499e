/**
 * Prompt and prefix tuning as PEFT adapters, which hold the same numbers.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { attentions, type Decoder } from '../model/decoder.ts';
import type { AdapterShape } from '../ops/probes.ts';
import { axisLength } from '../tensor/axis.ts';
import { type PeftAdapter, plainTensor } from './peft.ts';

/** Values of adapter tensors by name. */
type Values = ReadonlyMap<string, Float32Array>;

/** @param prompt name of the embeddings [tokens, embedding width] */
export function promptPeft(decoder: Decoder, prompt: string, values: Values): PeftAdapter {
  const embeddingWidth = axisLength(decoder.embedding.columns);
  // PEFT writes the number of heads into every such adapter and does not read it from one of this kind.
  const heads = attentions(decoder)[0]?.heads ?? 1;
  const config = { token_dim: embeddingWidth, num_attention_heads: heads, prompt_tuning_init: 'RANDOM' };
  return virtualPeft('PROMPT_TUNING', decoder, values.get(prompt)!, embeddingWidth, config);
}

/**
 * PEFT has one row for each token: keys, then values, of layer after layer.
 *
 * @param prefix names of keys and values [tokens, key width] of each layer
 * @throws SubzeroError `unsupported` where layers share keys and values or theirs differ in width
 */
export function prefixPeft(decoder: Decoder, prefix: NonNullable<AdapterShape['prefix']>, values: Values): PeftAdapter {
  const layers = attentions(decoder);
  const { keyHeads, headWidth } = layers[0]!;
  const width = keyHeads * headWidth;
  if (layers.some((layer) => 'keysOf' in layer || layer.keyHeads !== keyHeads || layer.headWidth !== headWidth)) {
    throw new SubzeroError(
      'unsupported',
      'a prefix of PEFT has keys and values of one width for every layer, and layers of this model share them or ' +
        'have others; use the run itself, or train with another scheme',
      { parameter: 'format' },
    );
  }
  const parts = prefix.flatMap((layer) => [values.get(layer.keys)!, values.get(layer.values)!]);
  const rowWidth = parts.length * width;
  const rows = new Float32Array((parts[0]!.length / width) * rowWidth);
  for (const [index, part] of parts.entries()) {
    for (let token = 0; token < part.length / width; token++) {
      rows.set(part.subarray(token * width, (token + 1) * width), token * rowWidth + index * width);
    }
  }
  const config = { token_dim: width, num_attention_heads: keyHeads, prefix_projection: false };
  return virtualPeft('PREFIX_TUNING', decoder, rows, rowWidth, config);
}

function virtualPeft(
  type: string,
  decoder: Decoder,
  rows: Float32Array,
  width: number,
  config: Record<string, unknown>,
): PeftAdapter {
  const tokens = rows.length / width;
  return {
    tensors: [plainTensor('prompt_embeddings', [tokens, width], rows)],
    config: {
      peft_type: type,
      num_virtual_tokens: tokens,
      num_transformer_submodules: 1,
      num_layers: decoder.blocks.length,
      ...config,
    },
  };
}
