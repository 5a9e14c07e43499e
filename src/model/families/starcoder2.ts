import { flag, orNull, real, text, whole } from '../config-fields.ts';
import { offElsewhere } from '../config-keys.ts';
import { readRope, ropeFields } from '../rope-parameters.ts';
import { contextWith } from '../rope-rules.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';
import { gptLike } from './gpt-like.ts';

/**
 * StarCoder 2: a GPT with the rotation, the grouped heads and the window of a Mistral. Defaults of `Starcoder2Config`.
 */
export const starcoder2 = family(
  {
    vocab_size: whole(49_152),
    hidden_size: whole(3072),
    intermediate_size: whole(12_288),
    num_hidden_layers: whole(30),
    num_attention_heads: whole(24),
    num_key_value_heads: whole(2),
    hidden_act: text('gelu_pytorch_tanh'),
    max_position_embeddings: whole(4096),
    norm_epsilon: real(1e-5, { zero: true }),
    sliding_window: orNull(whole(0)),
    use_bias: flag(true),
    tie_word_embeddings: flag(true),
    head_dim: orNull(whole(0)),
    ...ropeFields,
  },
  (values, type) => {
    const {
      hidden_size: width,
      num_attention_heads: heads,
      max_position_embeddings: context,
      use_bias: biased,
    } = values;
    const headWidth = values.head_dim ?? evenHeadWidth(width, heads);
    const rotation = readRope(values, headWidth, context);
    return gptLike(type, {
      names: {
        embedding: 'model.embed_tokens',
        layers: 'model.layers',
        finalNorm: 'model.norm',
        norms: ['input_layernorm', 'post_attention_layernorm'],
        projections: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
        output: 'self_attn.o_proj',
        up: 'mlp.c_fc',
        down: 'mlp.c_proj',
      },
      ...{ width, heads, headWidth, rotation },
      vocabulary: values.vocab_size,
      inner: values.intermediate_size,
      layers: values.num_hidden_layers,
      keyHeads: values.num_key_value_heads,
      contextLength: contextWith(rotation.scaling, context),
      epsilon: values.norm_epsilon,
      activation: activationNamed('hidden_act', values.hidden_act),
      tied: values.tie_word_embeddings,
      biased: { projections: biased, output: biased, feedForward: biased },
      windowOf: () => values.sliding_window ?? undefined,
    });
  },
  { neutral: offElsewhere },
);
