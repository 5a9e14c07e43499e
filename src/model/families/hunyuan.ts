import { real, type Values, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere, only } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import type { Decoder } from '../decoder.ts';
import { readRope, ropeSettings } from '../rope-parameters.ts';
import type { RopePosition } from '../rope-table.ts';
import { evenHeadWidth, family } from './family.ts';
import { biasedLayers, type LlamaLike, llamaFields, llamaLike } from './llama.ts';

const { mlp_bias: _, ...fields } = llamaFields;

/** Keys with the defaults of `HunYuanDenseV1Config`, which are those of `HunYuanMoEV1Config` too. */
export const hunyuanFields = { ...fields, vocab_size: whole(290_943), rms_norm_eps: real(1e-5, { zero: true }) };

const token = 'is the number of a token, which the tokenizer knows';
/** Why keys of picture and film change nothing. */
export const picture = 'is about pictures and films, of which the language model sees nothing';
const classes = 'is about a head that classifies, which the language model does not have';

/** Keys that are not read; the authors' files have many of their own class, which transformers passes over. */
export const hunyuanKeys = {
  ignored: {
    ...noWindowLayers,
    eod_token_id: 'is about where texts end, which the tokenizer decides',
    attention_head_dim: 'is "head_dim" in transformers; tensors of other shapes are refused',
    cla_share_factor: 'is about layers that share keys, which "use_cla" turns on',
    org_vocab_size: 'is the number of tokens before some were added; tensors have the rows of "vocab_size"',
    ...{ class_num: classes, dense_list: classes, pool_type: classes },
    ...{ mask_init_id: token, pad_id: token, text_start_id: token, text_end_id: token },
    ...{ im_start_id: picture, im_end_id: picture, im_newline_id: picture },
  },
  neutral: {
    mlp_bias: offElsewhere.mlp_bias,
    use_sliding_window: offElsewhere.use_sliding_window,
    use_qk_norm: only([true], 'queries and keys would have no norms'),
    use_rotary_pos_emb: only([true], 'queries and keys would not be turned'),
    norm_type: only(['rms', 'hf_rms'], 'norms would take the mean off'),
  },
};

/**
 * Hunyuan: a Llama with norms of every head's queries and keys once they are turned, and with a base of the angles that
 * a number `alpha` stretches.
 */
export const hunyuanV1Dense = family(hunyuanFields, (values, type) => hunyuanDecoder(type, values), {
  ...hunyuanKeys,
  classes: ['HunYuanDenseV1ForCausalLM', 'HunYuanDenseV1Model'],
});

/** @param experts those of a layer, in place of its feed-forward layer */
export function hunyuanDecoder(
  type: string,
  values: Values<typeof hunyuanFields>,
  experts?: LlamaLike['experts'],
): Decoder {
  const headWidth = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
  const read = readRope(values, headWidth, values.max_position_embeddings, { own: ['alpha'] });
  const { alpha } = ropeSettings(values).values;
  const rotation: RopePosition =
    read.scaling.type === 'dynamic' && typeof alpha === 'number' && alpha > 0
      ? { ...read, theta: read.theta * alpha ** (headWidth / (headWidth - 2)), scaling: { type: 'default' } }
      : read;
  return llamaLike(type, values, {
    biased: biasedLayers(values.attention_bias),
    windows: (context) => noWindows(values, context),
    rotation: () => rotation,
    queryKeyNorms: 'head',
    queryKeyNames: ['query_layernorm', 'key_layernorm'],
    attention: { normsRotated: true },
    ...(experts ? { experts } : {}),
  });
}
