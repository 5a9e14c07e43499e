import { SubzeroError } from '../../errors.ts';
import { quadAxis } from '../../tensor/axis.ts';
import { type Config, flag, object, real, text, texts, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { windowsOf } from '../config-windows.ts';
import { embeddingAxes, layerNorm, linearLayer, matrix, type Norm } from '../decoder.ts';
import { readRope } from '../rope-parameters.ts';
import type { RopePosition } from '../rope-table.ts';
import { bertKeys } from './bert.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';

/** Keys with the defaults of `ModernBertConfig`. */
const fields = {
  vocab_size: whole(50_368),
  hidden_size: whole(768),
  intermediate_size: whole(1152),
  num_hidden_layers: whole(22),
  num_attention_heads: whole(12),
  hidden_activation: text('gelu'),
  max_position_embeddings: whole(8192),
  norm_eps: real(1e-5, { zero: true }),
  norm_bias: flag(false),
  attention_bias: flag(false),
  mlp_bias: flag(false),
  decoder_bias: flag(true),
  classifier_bias: flag(false),
  classifier_activation: text('gelu'),
  local_attention: whole(128),
  global_attn_every_n_layers: whole(3),
  layer_types: texts,
  global_rope_theta: real(160_000),
  local_rope_theta: real(10_000),
  rope_parameters: object,
  tie_word_embeddings: flag(true),
};

/** ModernBERT: norms first, packed projections, windows to both sides in most layers, which turn by another theta. */
export const modernbert = family(
  fields,
  (values, type) => {
    const { hidden_size: width, num_attention_heads: heads, max_position_embeddings: contextLength } = values;
    const headWidth = evenHeadWidth(width, heads);
    const rotationOf = (layers: string, theta: number): RopePosition => {
      const own = (values.rope_parameters?.[layers] ?? null) as Config | null;
      const none = { rope_scaling: null, original_max_position_embeddings: null, partial_rotary_factor: null };
      const rotation = readRope({ ...none, rope_parameters: own, rope_theta: theta }, headWidth, contextLength);
      if (rotation.scaling.type === 'default') return rotation;
      const { type: rule } = rotation.scaling;
      throw new SubzeroError(
        'unsupported',
        `"rope_parameters": the rule "${rule}" is not supported in this architecture`,
      );
    };
    const whole = rotationOf('full_attention', values.global_rope_theta);
    const local = rotationOf('sliding_attention', values.local_rope_theta);
    // A token sees itself and half of the window to each side.
    const window = Math.floor(values.local_attention / 2) + 1;
    const windows = windowsOf(
      { ...values, sliding_window: window },
      window,
      (layer) => layer % values.global_attn_every_n_layers !== 0,
    );
    const [hidden, inner] = [quadAxis(width), quadAxis(values.intermediate_size)];
    const normOf = (name: string): Norm =>
      layerNorm(name, width, values.norm_eps, { gain: true, shift: values.norm_bias });
    return {
      ...{ architecture: type, vocabularySize: values.vocab_size, contextLength, mask: 'bidirectional' },
      embedding: matrix('model.embeddings.tok_embeddings', ...embeddingAxes(values.vocab_size, width)),
      embeddingNorm: normOf('model.embeddings.norm'),
      blocks: windows.map((window, layer) => {
        const block = `model.layers.${layer}`;
        return [
          {
            kind: 'attention',
            // The first layer reads the embedding, whose norm is there already.
            ...(layer === 0 ? {} : { before: normOf(`${block}.attn_norm`) }),
            packed: linearLayer(`${block}.attn.Wqkv`, quadAxis(headWidth, 3 * heads), hidden, values.attention_bias),
            order: 'blocks',
            output: linearLayer(`${block}.attn.Wo`, hidden, quadAxis(headWidth, heads), values.attention_bias),
            ...{ heads, keyHeads: heads, headWidth },
            ...(window === undefined ? { rotation: whole } : { rotation: local, window }),
          },
          {
            kind: 'feed-forward',
            before: normOf(`${block}.mlp_norm`),
            packed: linearLayer(`${block}.mlp.Wi`, quadAxis(values.intermediate_size, 2), hidden, values.mlp_bias),
            down: linearLayer(`${block}.mlp.Wo`, hidden, inner, values.mlp_bias),
            activation: activationNamed('hidden_activation', values.hidden_activation),
          },
        ];
      }),
      finalNorm: normOf('model.final_norm'),
      head: {
        ...linearLayer('decoder', ...embeddingAxes(values.vocab_size, width), values.decoder_bias),
        tied: values.tie_word_embeddings,
        transform: {
          dense: linearLayer('head.dense', hidden, hidden, values.classifier_bias),
          activation: activationNamed('classifier_activation', values.classifier_activation),
          norm: normOf('head.norm'),
        },
      },
    };
  },
  {
    classes: bertKeys.classes ?? [],
    ignored: {
      mlp_dropout: 'dropout is part of training by backpropagation; passes here are those of evaluation',
      classifier_pooling: 'is about classifiers, which pool the tokens of a text; a language model does not',
      initializer_cutoff_factor: 'is about weights before training, where their distribution is cut off',
      deterministic_flash_attn: 'chooses among programs that compute the same function, up to the order of sums',
      reference_compile: 'chooses whether PyTorch compiles the function, which stays the same',
      repad_logits_with_grad: 'is about how batches are padded, in files of early versions',
      sparse_prediction: 'leaves out logits that are not asked for, where labels are given',
      sparse_pred_ignore_index: 'goes with sparse_prediction, and names the labels that are left out',
      layer_norm_eps: 'is an older name of norm_eps that stands beside it and is not read',
    },
    neutral: {
      ...bertKeys.neutral,
      rope_theta: only([null], 'it would not be read: layers have "global_rope_theta" or "local_rope_theta"'),
      rope_scaling: only([null], 'the angles would be scaled, which is not supported in this architecture'),
      partial_rotary_factor: only([null, 1], 'a part of each head would turn'),
    },
  },
);
