/**
 * Prompt tuning as a PEFT adapter, which has the same tensor.
 *
 * @module
 */

import type { DecoderConfiguration } from '../model/configuration.ts';
import { type PeftAdapter, plainTensor } from './peft.ts';

/** @param embeddings [tokens, embedding width] */
export function promptPeft(configuration: DecoderConfiguration, tokens: number, embeddings: Float32Array): PeftAdapter {
  const { embeddingWidth, headCount, layerCount } = configuration;
  return {
    tensors: [plainTensor('prompt_embeddings', [tokens, embeddingWidth], embeddings)],
    config: {
      peft_type: 'PROMPT_TUNING',
      num_virtual_tokens: tokens,
      token_dim: embeddingWidth,
      num_transformer_submodules: 1,
      num_attention_heads: headCount,
      num_layers: layerCount,
      prompt_tuning_init: 'RANDOM',
    },
  };
}
