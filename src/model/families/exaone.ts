import { SubzeroError } from '../../errors.ts';
import { orNull, real, text, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

/** Modules of a Llama's layer, and what published files call them. */
const publishedModules = {
  'self_attn.q_proj': 'attn.attention.q_proj',
  'self_attn.k_proj': 'attn.attention.k_proj',
  'self_attn.v_proj': 'attn.attention.v_proj',
  'self_attn.o_proj': 'attn.attention.out_proj',
  input_layernorm: 'ln_1',
  post_attention_layernorm: 'ln_2',
  'mlp.gate_proj': 'mlp.c_fc_0',
  'mlp.up_proj': 'mlp.c_fc_1',
  'mlp.down_proj': 'mlp.c_proj',
};

/** Keys by their names in published files, and by those of transformers with the value of its class. */
const aliases = {
  num_layers: { key: 'num_hidden_layers', fallback: 32 },
  layer_norm_epsilon: { key: 'rms_norm_eps', fallback: 1e-5 },
  activation_function: { key: 'hidden_act', fallback: 'silu' },
} as const;

/** The value of a key that has a published name too. @throws SubzeroError where they differ */
function either<T>(alias: keyof typeof aliases, published: T | null, value: T): T {
  const { key, fallback } = aliases[alias];
  if (published !== null && value !== fallback && value !== published) {
    throw new SubzeroError('invalid_data', `"${key}" and "${alias}" mean the same; got ${value} and ${published}`);
  }
  return published ?? value;
}

/** EXAONE 3: a Llama with names of its own for keys and tensors in published files. Defaults of `ExaoneConfig`. */
export const exaone = family(
  {
    ...llamaFields,
    vocab_size: whole(102_400),
    intermediate_size: whole(14_336),
    num_layers: orNull(whole(0)),
    num_key_value_heads: orNull(whole(0), 8),
    activation_function: orNull(text('')),
    max_position_embeddings: whole(4096),
    rms_norm_eps: real(1e-5, { zero: true }),
    layer_norm_epsilon: orNull(real(0, { zero: true })),
    rope_theta: real(500_000),
  },
  (given, type) => {
    const layers = either('num_layers', given.num_layers, given.num_hidden_layers);
    const values = {
      ...given,
      num_hidden_layers: layers,
      rms_norm_eps: either('layer_norm_epsilon', given.layer_norm_epsilon, given.rms_norm_eps),
      hidden_act: either('activation_function', given.activation_function, given.hidden_act),
    };
    const decoder = llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias, values.mlp_bias),
      windows: (context) => noWindows(values, context),
    });
    const prefixes = [
      { name: 'model.embed_tokens.', older: 'transformer.wte.' },
      { name: 'model.norm.', older: 'transformer.ln_f.' },
      ...Array.from({ length: layers }, (_, layer) =>
        Object.entries(publishedModules).map(([name, older]) => ({
          name: `model.layers.${layer}.${name}.`,
          older: `transformer.h.${layer}.${older}.`,
        })),
      ).flat(),
    ];
    return { ...decoder, stored: { prefixes } };
  },
  {
    classes: ['ForCausalLM', 'Model', 'LlamaForCausalLM'],
    code: 'modeling_exaone.ExaoneForCausalLM',
    ignored: noWindowLayers,
    neutral: { use_sliding_window: offElsewhere.use_sliding_window },
  },
);
