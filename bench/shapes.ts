/**
 * Shapes of well-known models, as their config.json has them, for benchmarks with random weights.
 *
 * @module
 */

const opt = (hidden: number, layers: number, heads: number): Record<string, unknown> => ({
  model_type: 'opt',
  vocab_size: 50_272,
  hidden_size: hidden,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  ffn_dim: 4 * hidden,
  max_position_embeddings: 2048,
  activation_function: 'relu',
});

/** Configurations by name. */
export const modelShapes: Readonly<Record<string, Record<string, unknown>>> = {
  'opt-125m': opt(768, 12, 12),
  'opt-1.3b': opt(2048, 24, 32),
  'opt-13b': opt(5120, 40, 40),
  'llama-7b': {
    model_type: 'llama',
    vocab_size: 32_000,
    hidden_size: 4096,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    intermediate_size: 11_008,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
  },
  'qwen3-0.6b': {
    model_type: 'qwen3',
    vocab_size: 151_936,
    hidden_size: 1024,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    intermediate_size: 3072,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
  },
  // Wide enough for the low-rank product to be a small part, small enough for a software adapter.
  'opt-1024x4': opt(1024, 4, 16),
};
