import { real, type Values, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import type { Decoder } from '../decoder.ts';
import { readRope, ropeSettings } from '../rope-parameters.ts';
import type { RopePosition } from '../rope-table.ts';
import { evenHeadWidth, family } from './family.ts';
import { biasedLayers, type LlamaLike, llamaFields, llamaLike } from './llama.ts';

const { mlp_bias: _, ...fields } = llamaFields;

/** Keys with the defaults of `HunYuanDenseV1Config`, which are those of `HunYuanMoEV1Config` too. */
export const hunyuanFields = { ...fields, vocab_size: whole(290_943), rms_norm_eps: real(1e-5, { zero: true }) };

/** Keys that are not read. */
export const hunyuanKeys = {
  ignored: { ...noWindowLayers, eod_token_id: 'is about where texts end, which the tokenizer decides' },
  neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window },
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
