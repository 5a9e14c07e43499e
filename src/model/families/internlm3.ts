import { SubzeroError } from '../../errors.ts';
import { flag, orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

/** InternLM 3: a Llama, whose biases published files call `qkv_bias` and `bias`. Defaults of `InternLM3Config`. */
export const internlm3 = family(
  {
    ...llamaFields,
    vocab_size: whole(128_512),
    intermediate_size: whole(10_240),
    num_hidden_layers: whole(48),
    num_key_value_heads: orNull(whole(0), 2),
    head_dim: orNull(whole(0), 128),
    max_position_embeddings: whole(32_768),
    rms_norm_eps: real(1e-5, { zero: true }),
    qkv_bias: orNull(flag(false)),
    bias: orNull(flag(false)),
  },
  (values, type) => {
    const { attention_bias, mlp_bias, qkv_bias, bias } = values;
    const [attention, feedForward] = [qkv_bias ?? attention_bias, bias ?? mlp_bias];
    // transformers has one switch for all four projections of attention, and refuses what it could not tell apart.
    if (attention !== feedForward || (attention_bias && !attention) || (mlp_bias && !feedForward)) {
      throw new SubzeroError(
        'unsupported',
        '"qkv_bias" ("attention_bias") and "bias" ("mlp_bias") must be equal: a model with biases in one of ' +
          'attention and feed-forward layers alone is not supported',
      );
    }
    return llamaLike(type, values, {
      biased: biasedLayers(attention, feedForward),
      windows: (context) => noWindows(values, context),
    });
  },
  {
    classes: ['ForCausalLM', 'Model', 'LlamaForCausalLM'],
    code: 'modeling_internlm3.InternLM3ForCausalLM',
    ignored: noWindowLayers,
    neutral: { use_sliding_window: offElsewhere.use_sliding_window },
  },
);
