import { SubzeroError } from '../../errors.ts';
import { brief, flag, object, orNull, readFields, real, whole } from '../config-fields.ts';
import { type NeutralKey, only } from '../config-keys.ts';
import { evenHeadWidth, family } from './family.ts';
import { gptLike } from './gpt-like.ts';

/** Keys of `attn_config`: those that may have certain values only, and those without effect. */
const attentionNeutral: Readonly<Record<string, NeutralKey>> = {
  attn_type: only(['multihead_attention'], 'heads would share keys'),
  clip_qkv: only([], 'queries, keys and values would be limited'),
  prefix_lm: only([false], 'tokens of a prefix would see those after them'),
  qk_ln: only([false], 'queries and keys would be normalised'),
  attn_uses_sequence_id: only([false], 'tokens would see a part of their text'),
  alibi: only([true], 'positions would be learned'),
  alibi_bias_max: only([8], 'scores would fall by other slopes'),
};
const attentionIgnored = new Set(['attn_pdrop', 'attn_impl', 'model_type']);
const attentionFields = { softmax_scale: orNull(real(0)) };

/** The factor of the scores, where it is there. @throws SubzeroError where a key of `attn_config` asks for more */
function scoreScale(attention: Readonly<Record<string, unknown>>): number | undefined {
  for (const [key, value] of Object.entries(attention)) {
    const neutral = Object.hasOwn(attentionNeutral, key) ? attentionNeutral[key] : undefined;
    if (neutral?.accepts(value) || attentionIgnored.has(key) || Object.hasOwn(attentionFields, key)) continue;
    const wanted = neutral ? `must be ${neutral.expected || 'null'}: ${neutral.otherwise}` : 'is not known';
    throw new SubzeroError('unsupported', `"${key}" of "attn_config" ${wanted}; got ${brief(value)}`);
  }
  return readFields(attention, attentionFields).softmax_scale ?? undefined;
}

/** MPT: scores that fall with the distance, and no biases, of norms neither. Defaults of `MptConfig`. */
export const mpt = family(
  {
    vocab_size: whole(50_368),
    d_model: whole(2048),
    n_heads: whole(16),
    n_layers: whole(24),
    max_seq_len: whole(2048),
    layer_norm_epsilon: real(1e-5, { zero: true }),
    attn_config: object,
    tie_word_embeddings: flag(true),
  },
  (values, type) => {
    const { d_model: width, n_heads: heads, n_layers: layers } = values;
    const scale = scoreScale(values.attn_config ?? {});
    return gptLike(type, {
      names: {
        embedding: 'transformer.wte',
        layers: 'transformer.blocks',
        finalNorm: 'transformer.norm_f',
        norms: ['norm_1', 'norm_2'],
        projections: ['attn.Wqkv'],
        output: 'attn.out_proj',
        up: 'ffn.up_proj',
        down: 'ffn.down_proj',
      },
      ...{ width, heads, layers, headWidth: evenHeadWidth(width, heads), alibi: { heads } },
      vocabulary: values.vocab_size,
      inner: 4 * width,
      contextLength: values.max_seq_len,
      epsilon: values.layer_norm_epsilon,
      activation: 'gelu',
      tied: values.tie_word_embeddings,
      biased: { projections: false, output: false, feedForward: false, norms: false },
      scoreScaleOf: () => scale,
    });
  },
  {
    ignored: {
      learned_pos_emb: 'asks for a table of positions, which transformers does not make',
      emb_pdrop: 'is about dropout, which is not used here',
      embedding_fraction: 'is about the gradients of the embedding, of which there are none',
      init_config: 'is about how weights were drawn before training',
      tokenizer_name: 'is about the tokenizer, which has files of its own',
      verbose: 'is about what is printed during training',
    },
    neutral: {
      expansion_ratio: only([4], 'the feed-forward layers would have another width'),
      no_bias: only([true], 'linear layers and norms would have biases'),
      norm_type: only(['low_precision_layernorm', 'layernorm'], 'norms would be of another kind'),
      logit_scale: only([], 'logits would be scaled'),
    },
    classes: ['MptForCausalLM', 'MPTForCausalLM'],
    code: 'modeling_mpt.MPTForCausalLM',
  },
);
