/**
 * The architectures of GGUF files of GPT-2 and its relatives: LayerNorms, one matrix for queries, keys and values, and
 * names of their own for keys and modules.
 *
 * @module
 */

import { type Architecture, type Config, f32, type TensorNames, u32, type WrittenKeys } from './architecture.ts';
import type { Keys } from './keys.ts';
import type { Rearranged } from './rearranged.ts';
import { readRope } from './rope.ts';

/** Keys of a Llama that these have under other names, or not at all. */
const otherwiseNamed: Config = Object.fromEntries(
  [
    ...['hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'num_key_value_heads'],
    ...['head_dim', 'hidden_act', 'max_position_embeddings'],
  ].map((key) => [key, undefined]),
);

/** No epsilon of RMSNorms. */
const epsilon = (): undefined => undefined;
const epsilonOf = (keys: Keys): number => keys.real('attention.layer_norm_epsilon');
const noRotation = async (): Promise<Config> => ({});

/** Elements inside of a feed-forward layer: the converter writes four times the width, whatever they are. */
function innerOf(keys: Keys, tensors: TensorNames): number {
  return tensors.rows('blk.0.ffn_up.weight') || keys.whole('feed_forward_length');
}

/** The most heads of a layer that are put in order; the largest published models have some hundreds. */
const mostHeads = 4096;

/** Heads of keys and values, where they can be put in order. */
function keyHeadsOf(keys: Keys): number {
  const heads = keys.whole('attention.head_count');
  const shared = keys.whole('attention.head_count_kv', heads);
  if (heads > mostHeads) throw keys.error('unsupported', 'attention.head_count', `is ${heads}; at most ${mostHeads}`);
  if (heads % shared === 0) return shared;
  throw keys.error('invalid_data', 'attention.head_count_kv', `is ${shared}, which ${heads} heads do not share evenly`);
}

/** Refuses heads that share keys. */
function keysForEachHead(keys: Keys): void {
  const [heads, shared] = [keys.whole('attention.head_count'), keyHeadsOf(keys)];
  if (shared === heads) return;
  throw keys.error(
    'unsupported',
    'attention.head_count_kv',
    `is ${shared}; heads that share keys are not supported in this architecture, which has ${heads}`,
  );
}

/**
 * One matrix for queries, keys and values: by groups of heads that share keys in transformers; in a file all queries,
 * all keys and all values.
 * @param module of a layer
 */
function grouped(module: string): NonNullable<Architecture['rearranged']> {
  return (_, { heads, keyHeads, headWidth }) => {
    const queries = (heads / keyHeads) * headWidth;
    const runs = Array.from({ length: keyHeads }, (_, group) => [
      { from: group * queries, count: queries },
      { from: (heads + group) * headWidth, count: headWidth },
      { from: (heads + keyHeads + group) * headWidth, count: headWidth },
    ]).flat();
    return ['weight', 'bias'].map((suffix): Rearranged => {
      return { parameter: `${module}.${suffix}`, tensors: [`attn_qkv.${suffix}`], along: 'rows', runs };
    });
  };
}

const gpt2Parts = {
  layers: 'transformer.h',
  outer: { token_embd: 'transformer.wte', position_embd: 'transformer.wpe', output_norm: 'transformer.ln_f' },
  layer: {
    attn_norm: 'ln_1',
    attn_qkv: 'attn.c_attn',
    attn_output: 'attn.c_proj',
    ffn_norm: 'ln_2',
    ffn_up: 'mlp.c_fc',
    ffn_down: 'mlp.c_proj',
  },
  epsilon,
  rope: noRotation,
} as const;

function gpt2Config(keys: Keys, tensors: TensorNames): Config {
  return {
    ...otherwiseNamed,
    n_embd: keys.whole('embedding_length'),
    n_inner: innerOf(keys, tensors),
    n_layer: keys.whole('block_count'),
    n_head: keys.whole('attention.head_count'),
    n_positions: keys.whole('context_length'),
    layer_norm_epsilon: epsilonOf(keys),
  };
}

const bloomParts = {
  attn_output: 'self_attention.dense',
  ffn_up: 'mlp.dense_h_to_4h',
  ffn_down: 'mlp.dense_4h_to_h',
};

const sequentialNorms = { attn_norm: 'input_layernorm', ffn_norm: 'post_attention_layernorm' };

/** A Falcon whose key heads are shared by groups of heads, and one with a key head for all. */
function falconKeyHeads(keys: Keys, tensors: TensorNames): Config {
  const shared = keyHeadsOf(keys);
  const norms = tensors.has('blk.0.attn_norm_2.weight') ? 2 : 1;
  return shared === 1 && norms === 1
    ? { new_decoder_architecture: false, multi_query: true }
    : { new_decoder_architecture: true, num_kv_heads: shared, num_ln_in_parallel_attn: norms };
}

export const gptLike: Readonly<Record<string, Architecture>> = {
  gpt2: {
    ...gpt2Parts,
    type: () => 'gpt2',
    className: { gpt2: 'GPT2LMHeadModel' },
    own: (keys, tensors) => {
      keysForEachHead(keys);
      return { ...gpt2Config(keys, tensors), activation_function: 'gelu_new' };
    },
  },
  starcoder: {
    ...gpt2Parts,
    type: () => 'gpt_bigcode',
    className: { gpt_bigcode: 'GPTBigCodeForCausalLM' },
    rearranged: grouped('attn.c_attn'),
    own: (keys, tensors) => {
      const isShared = keyHeadsOf(keys) === 1;
      if (!isShared) keysForEachHead(keys);
      return { ...gpt2Config(keys, tensors), activation_function: 'gelu_pytorch_tanh', multi_query: isShared };
    },
  },
  falcon: {
    type: () => 'falcon',
    className: { falcon: 'FalconForCausalLM' },
    layers: 'transformer.h',
    outer: { token_embd: 'transformer.word_embeddings', output_norm: 'transformer.ln_f' },
    layer: ({ new_decoder_architecture: isNew, num_ln_in_parallel_attn: norms }) => ({
      ...bloomParts,
      attn_qkv: 'self_attention.query_key_value',
      ...(isNew && (norms ?? 2) === 2
        ? { attn_norm: 'ln_mlp', attn_norm_2: 'ln_attn' }
        : { attn_norm: 'input_layernorm' }),
    }),
    epsilon,
    rearranged: grouped('self_attention.query_key_value'),
    own: (keys, tensors) => {
      const layout = keys.text('tensor_data_layout', 'jploski');
      if (layout !== 'jploski') {
        throw keys.error('unsupported', 'tensor_data_layout', `is "${layout}"; supported is "jploski"`);
      }
      return {
        ...{ num_key_value_heads: undefined, head_dim: undefined, intermediate_size: undefined, hidden_act: undefined },
        ...falconKeyHeads(keys, tensors),
        ffn_hidden_size: innerOf(keys, tensors),
        layer_norm_epsilon: epsilonOf(keys),
        activation: 'gelu',
        parallel_attn: true,
        bias: false,
        alibi: false,
      };
    },
    written: () => ({ tensor_data_layout: { kind: 'text', value: 'jploski' } }),
  },
  bloom: {
    type: () => 'bloom',
    className: { bloom: 'BloomForCausalLM' },
    layers: 'transformer.h',
    outer: {
      token_embd: 'transformer.word_embeddings',
      token_embd_norm: 'transformer.word_embeddings_layernorm',
      output_norm: 'transformer.ln_f',
    },
    layer: { ...bloomParts, ...sequentialNorms, attn_qkv: 'self_attention.query_key_value' },
    epsilon,
    rope: noRotation,
    rearranged: grouped('self_attention.query_key_value'),
    own: (keys) => {
      keysForEachHead(keys);
      return {
        ...otherwiseNamed,
        hidden_size: keys.whole('embedding_length'),
        n_layer: keys.whole('block_count'),
        n_head: keys.whole('attention.head_count'),
        seq_length: keys.whole('context_length'),
        layer_norm_epsilon: epsilonOf(keys),
      };
    },
  },
  mpt: {
    type: () => 'mpt',
    className: { mpt: 'MptForCausalLM' },
    layers: 'transformer.blocks',
    outer: { token_embd: 'transformer.wte', output_norm: 'transformer.norm_f' },
    layer: {
      attn_norm: 'norm_1',
      attn_qkv: 'attn.Wqkv',
      attn_output: 'attn.out_proj',
      ffn_norm: 'norm_2',
      ffn_up: 'ffn.up_proj',
      ffn_down: 'ffn.down_proj',
    },
    epsilon,
    rope: noRotation,
    own: (keys) => {
      keysForEachHead(keys);
      const bias = keys.real('attention.max_alibi_bias', 0);
      if (bias !== 8) {
        const otherwise = bias === 0 ? 'positions would be learned' : 'scores would fall by other slopes';
        throw keys.error('unsupported', 'attention.max_alibi_bias', `is ${bias}; supported is 8: ${otherwise}`);
      }
      const limit = keys.real('attention.clamp_kqv', 0);
      if (limit !== 0) {
        throw keys.error('unsupported', 'attention.clamp_kqv', `is ${limit}, to which no program here limits them`);
      }
      return {
        ...otherwiseNamed,
        d_model: keys.whole('embedding_length'),
        n_layers: keys.whole('block_count'),
        n_heads: keys.whole('attention.head_count'),
        max_seq_len: keys.whole('context_length'),
        layer_norm_epsilon: epsilonOf(keys),
      };
    },
    written: () => ({ 'attention.max_alibi_bias': f32(8) }),
  },
  gptneox: {
    type: () => 'gpt_neox',
    className: { gpt_neox: 'GPTNeoXForCausalLM' },
    layers: 'gpt_neox.layers',
    outer: { token_embd: 'gpt_neox.embed_in', output_norm: 'gpt_neox.final_layer_norm' },
    layer: {
      ...bloomParts,
      ...sequentialNorms,
      attn_qkv: 'attention.query_key_value',
      attn_output: 'attention.dense',
    },
    epsilon,
    rearranged: grouped('attention.query_key_value'),
    rope: async (keys, read) => {
      const width = keys.whole('embedding_length') / keys.whole('attention.head_count');
      const rope = await readRope(keys, { width, context: keys.whole('context_length') }, read);
      const { rope_theta: theta, partial_rotary_factor: share = 1, rope_scaling: scaling } = rope;
      return { rotary_emb_base: theta, rotary_pct: share, rope_scaling: scaling };
    },
    own: (keys, tensors) => {
      keysForEachHead(keys);
      return {
        ...{ num_key_value_heads: undefined, head_dim: undefined },
        hidden_act: 'gelu',
        layer_norm_eps: epsilonOf(keys),
        attention_bias: tensors.has('blk.0.attn_qkv.bias'),
        use_parallel_residual: keys.raw('use_parallel_residual') ?? true,
      };
    },
    written: gptNeoxKeys,
  },
};

function gptNeoxKeys(config: Config, { headWidth }: { headWidth: number }): WrittenKeys {
  const share = (config.rotary_pct ?? 0.25) as number;
  return {
    'rope.dimension_count': u32(Math.floor(headWidth * share)),
    use_parallel_residual: { kind: 'flag', value: (config.use_parallel_residual ?? true) as boolean },
  };
}
