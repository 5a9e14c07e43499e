import { orNull, real, text, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere, only } from '../config-keys.ts';
import { windowsByPattern } from '../config-windows.ts';
import type { Decoder } from '../decoder.ts';
import { type Family, family } from './family.ts';
import { causalOnly, gemmaEmbeddingScale, gemmaFields, gemmaNorm } from './gemma.ts';
import { biasedLayers, type LlamaLike, layerNorms, llamaLike } from './llama.ts';

const { hidden_act: _, ...fields } = gemmaFields;

/** The keys of Gemma 2 and its relatives, with the defaults of `Gemma2Config`. */
export const gemma2Fields = {
  ...fields,
  hidden_size: whole(2304),
  intermediate_size: whole(9216),
  num_hidden_layers: whole(26),
  num_attention_heads: whole(8),
  num_key_value_heads: whole(4),
  hidden_activation: text('gelu_pytorch_tanh'),
  sliding_window: orNull(whole(0), 4096),
  query_pre_attn_scalar: real(256),
  attn_logit_softcapping: orNull(real(0), 50),
  final_logit_softcapping: orNull(real(0), 30),
};

/** What Gemma 2 and its relatives do not read. */
export const gemma2Keys = {
  ignored: noWindowLayers,
  neutral: {
    mlp_bias: offElsewhere.mlp_bias,
    use_sliding_window: offElsewhere.use_sliding_window,
    use_bidirectional_attention: causalOnly,
    hidden_act: only(['gelu_pytorch_tanh'], 'it would contradict "hidden_activation", which counts'),
  },
};

/** The bound of logits as the description has it. */
export function logitCap(softCap: number | null): Pick<Decoder, 'logits'> {
  return softCap === null ? {} : { logits: { softCap } };
}

/** A relative of Gemma 2, by its norms. */
function gemma2With(norms: LlamaLike['norms'] & {}): Family {
  return family(
    gemma2Fields,
    (values, type) =>
      llamaLike(
        type,
        { ...values, hidden_act: values.hidden_activation },
        {
          biased: biasedLayers(values.attention_bias),
          windows: () => windowsByPattern(values, (layer) => layer % 2 === 0),
          norms,
          norm: gemmaNorm(values.rms_norm_eps),
          attention: {
            scale: values.query_pre_attn_scalar ** -0.5,
            ...(values.attn_logit_softcapping === null ? {} : { softCap: values.attn_logit_softcapping }),
          },
          decoder: {
            embeddingScale: gemmaEmbeddingScale(values.hidden_size),
            ...logitCap(values.final_logit_softcapping),
          },
        },
      ),
    gemma2Keys,
  );
}

/** Gemma 2: a Gemma with norms around its sublayers, windows in every second layer, and capped scores and logits. */
export const gemma2 = gemma2With(layerNorms.around);

/** VaultGemma: a Gemma 2 without the norms of what sublayers give. */
export const vaultgemma = gemma2With({
  attention: { before: 'input_layernorm' },
  feedForward: { before: 'pre_feedforward_layernorm' },
});
