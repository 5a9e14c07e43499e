import { orNull, real, text, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import type { Norm } from '../decoder.ts';
import { readRope } from '../rope-parameters.ts';
import { evenHeadWidth, family } from './family.ts';
import { logitCap } from './gemma2.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

const { mlp_bias: _, ...fields } = llamaFields;

/**
 * NanoChat: norms without gains, of the embedding, of what sublayers read, and of every head's queries and keys once
 * they are turned, which is the other way round; no gate in the feed-forward layers; capped logits. Defaults of
 * `NanoChatConfig`.
 */
export const nanochat = family(
  {
    ...fields,
    vocab_size: whole(50_304),
    hidden_size: whole(768),
    intermediate_size: whole(8192),
    num_hidden_layers: whole(12),
    num_attention_heads: whole(6),
    hidden_act: text('relu2'),
    final_logit_softcapping: orNull(real(0), 15),
  },
  (values, type) => {
    const width = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
    const rotation = { ...readRope(values, width, values.max_position_embeddings), reversed: true };
    const norm = (name: string, size: number): Norm => ({
      ...{ name, kind: 'rms', epsilon: values.rms_norm_eps, width: size },
    });
    return llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias),
      windows: (context) => noWindows(values, context),
      rotation: () => rotation,
      queryKeyNorms: 'head',
      norm,
      feedForward: { up: 'fc1', down: 'fc2' },
      attention: { normsRotated: true },
      decoder: {
        embeddingNorm: norm('model.norm', values.hidden_size),
        ...logitCap(values.final_logit_softcapping),
      },
    });
  },
  {
    ignored: noWindowLayers,
    neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window },
  },
);
