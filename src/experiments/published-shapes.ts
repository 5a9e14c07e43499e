/**
 * Shapes of published models, as their config.json has them, for plans that need no weights.
 *
 * @module
 */

const opt = (hidden: number, layers: number, heads: number): Record<string, unknown> => ({
  ...{ model_type: 'opt', hidden_size: hidden, word_embed_proj_dim: hidden, num_hidden_layers: layers },
  ...{ num_attention_heads: heads, ffn_dim: 4 * hidden, vocab_size: 50_272, max_position_embeddings: 2048 },
});

const llama = (shape: Record<string, unknown>): Record<string, unknown> => ({
  ...{ model_type: 'llama', vocab_size: 128_256, max_position_embeddings: 8192, num_key_value_heads: 8 },
  ...shape,
});

/** By name, the smallest first. */
export const publishedShapes: Readonly<Record<string, Record<string, unknown>>> = {
  'OPT-125M': opt(768, 12, 12),
  'Qwen3-0.6B': {
    ...{ model_type: 'qwen3', hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 28, head_dim: 128 },
    ...{ num_attention_heads: 16, num_key_value_heads: 8, vocab_size: 151_936, tie_word_embeddings: true },
    max_position_embeddings: 40_960,
  },
  'OPT-1.3B': opt(2048, 24, 32),
  'Llama-3.1-8B': llama({
    ...{ hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32, num_attention_heads: 32 },
  }),
  'OPT-13B': opt(5120, 40, 40),
  'Llama-3.1-70B': llama({
    ...{ hidden_size: 8192, intermediate_size: 28_672, num_hidden_layers: 80, num_attention_heads: 64 },
  }),
};
