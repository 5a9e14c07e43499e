import { flag, orNull, real, text, whole } from '../config-fields.ts';
import { readRope, ropeFields } from '../rope-parameters.ts';
import { contextWith } from '../rope-rules.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';
import { gptLike } from './gpt-like.ts';

/**
 * Phi-1 and Phi-2: half of each head turns, both sublayers read the same sum through one norm, and the output head has
 * a bias. Defaults of `PhiConfig`.
 */
export const phi = family(
  {
    vocab_size: whole(51_200),
    hidden_size: whole(2048),
    intermediate_size: whole(8192),
    num_hidden_layers: whole(24),
    num_attention_heads: whole(32),
    num_key_value_heads: orNull(whole(0)),
    hidden_act: text('gelu_new'),
    max_position_embeddings: whole(2048),
    layer_norm_eps: real(1e-5, { zero: true }),
    tie_word_embeddings: flag(false),
    qk_layernorm: flag(false),
    ...ropeFields,
    partial_rotary_factor: real(0.5),
  },
  (values, type) => {
    const { hidden_size: width, num_attention_heads: heads, max_position_embeddings: context } = values;
    const headWidth = evenHeadWidth(width, heads);
    const rotation = readRope(values, headWidth, context, { partial: true });
    return gptLike(type, {
      names: {
        embedding: 'model.embed_tokens',
        layers: 'model.layers',
        finalNorm: 'model.final_layernorm',
        norms: ['input_layernorm'],
        projections: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
        output: 'self_attn.dense',
        up: 'mlp.fc1',
        down: 'mlp.fc2',
        ...(values.qk_layernorm ? { queryKeyNorms: ['self_attn.q_layernorm', 'self_attn.k_layernorm'] } : {}),
      },
      ...{ width, heads, headWidth, rotation },
      vocabulary: values.vocab_size,
      inner: values.intermediate_size,
      layers: values.num_hidden_layers,
      keyHeads: values.num_key_value_heads ?? heads,
      contextLength: contextWith(rotation.scaling, context),
      epsilon: values.layer_norm_eps,
      activation: activationNamed('hidden_act', values.hidden_act),
      tied: values.tie_word_embeddings,
      biased: { projections: true, output: true, feedForward: true, head: true },
      parallel: true,
    });
  },
  { code: 'modeling_phi.PhiForCausalLM' },
);
