/**
 * Llama, and what its relatives share with it.
 *
 * @module
 */

import { SubzeroError } from '../../errors.ts';
import { quadAxis } from '../../tensor/axis.ts';
import { flag, orNull, real, text, texts, type Values, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere, only } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import {
  type Decoder,
  embeddingAxes,
  linearLayer,
  type MemberSublayer,
  matrix,
  type Norm,
  rmsNorm,
  type Sublayer,
} from '../decoder.ts';
import { readRope, ropeFields } from '../rope-parameters.ts';
import { contextWith } from '../rope-rules.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';

/** Keys with the defaults of `LlamaConfig`. */
export const llamaFields = {
  vocab_size: whole(32_000),
  hidden_size: whole(4096),
  intermediate_size: whole(11_008),
  num_hidden_layers: whole(32),
  num_attention_heads: whole(32),
  num_key_value_heads: orNull(whole(0)),
  head_dim: orNull(whole(0)),
  hidden_act: text('silu'),
  max_position_embeddings: whole(2048),
  rms_norm_eps: real(1e-6, { zero: true }),
  tie_word_embeddings: flag(false),
  attention_bias: flag(false),
  mlp_bias: flag(false),
  sliding_window: orNull(whole(0)),
  layer_types: texts,
  ...ropeFields,
};

const { attention_bias: _attention, mlp_bias: _feedForward, ...plainFields } = llamaFields;

/** The keys that relatives without biases have too. */
export const llamaLikeFields = plainFields;

/** The linear layers of a Llama-like layer. */
type LinearName = 'query' | 'key' | 'value' | 'output' | 'gate' | 'up' | 'down';

/** The layers with a bias where two keys decide. */
export function biasedLayers(attention: boolean, feedForward = false): LinearName[] {
  return [
    ...(attention ? (['query', 'key', 'value', 'output'] as const) : []),
    ...(feedForward ? (['gate', 'up', 'down'] as const) : []),
  ];
}

/** Where a relative differs. */
export interface LlamaLike {
  /** The linear layers that have a bias. */
  biased?: readonly LinearName[];
  /** Keys that each layer sees, of a context of so many tokens. */
  windows: (contextLength: number) => readonly (number | undefined)[];
  /** RMSNorms of queries and keys: of every head by itself, or of all heads together. */
  queryKeyNorms?: 'head' | 'whole';
  /** Layers whose queries and keys are not turned by their positions. */
  unrotated?: (layer: number) => boolean;
  /** Norms of what the sublayers give instead of what they read. */
  normsAfter?: boolean;
  /** Sublayers whose projections are one matrix: `qkv_proj`, `gate_up_proj`. */
  packed?: readonly Sublayer['kind'][];
  /** Both sublayers of a layer read the same sum through one norm. */
  parallel?: boolean;
  /** The norms of layers and of the end, RMSNorms by default. */
  norm?: (name: string, width: number) => Norm;
  /** How heads turn, if not whole in halves. */
  rotary?: { partial?: boolean; interleaved?: boolean };
}

/** A Llama-like decoder. */
export function llamaLike(type: string, values: Values<typeof llamaLikeFields>, own: LlamaLike): Decoder {
  const { hidden_size: width, num_attention_heads: heads, rms_norm_eps: epsilon, vocab_size: vocabulary } = values;
  const headWidth = values.head_dim ?? evenHeadWidth(width, heads);
  const keyHeads = values.num_key_value_heads ?? heads;
  if (headWidth % 2 !== 0) {
    throw new SubzeroError(
      'invalid_data',
      `heads of ${headWidth} elements cannot be turned in pairs; their width must be even`,
    );
  }
  if (own.queryKeyNorms === 'whole' && headWidth % 4 !== 0) {
    throw new SubzeroError(
      'unsupported',
      `heads of ${headWidth} elements cannot be normalised together; their width must be a multiple of 4`,
    );
  }
  const rotation = {
    ...readRope(values, headWidth, values.max_position_embeddings, own.rotary?.partial),
    ...(own.rotary?.interleaved ? { interleaved: true } : {}),
  };
  const contextLength = contextWith(rotation.scaling, values.max_position_embeddings);
  const windows = own.windows(contextLength);
  const hidden = quadAxis(width);
  const { intermediate_size: intermediate } = values;
  const inner = quadAxis(intermediate);
  const [queries, keys] = [quadAxis(headWidth, heads), quadAxis(headWidth, keyHeads)];
  const packedHeads = quadAxis(headWidth, heads + 2 * keyHeads);
  const hasBias = (name: LinearName): boolean => own.biased?.includes(name) ?? false;
  const queryKeyNorm = (name: string, count: number): Norm =>
    rmsNorm(name, own.queryKeyNorms === 'whole' ? count * headWidth : headWidth, epsilon);
  const normOf = (name: string): Norm => (own.norm ? own.norm(name, width) : rmsNorm(name, width, epsilon));
  return {
    architecture: type,
    vocabularySize: vocabulary,
    contextLength,
    embedding: matrix('model.embed_tokens', ...embeddingAxes(vocabulary, width)),
    blocks: windows.map((window, layer) => {
      const prefix = `model.layers.${layer}`;
      const [attention, feedForward] = [`${prefix}.self_attn`, `${prefix}.mlp`];
      const norms = own.normsAfter
        ? {
            attention: { after: normOf(`${prefix}.post_attention_layernorm`) },
            feedForward: { after: normOf(`${prefix}.post_feedforward_layernorm`) },
          }
        : {
            attention: { before: normOf(`${prefix}.input_layernorm`) },
            feedForward: { before: normOf(`${prefix}.post_attention_layernorm`) },
          };
      const members: MemberSublayer[] = [
        {
          kind: 'attention',
          ...(own.parallel ? {} : norms.attention),
          ...(own.packed?.includes('attention')
            ? {
                packed: linearLayer(`${attention}.qkv_proj`, packedHeads, hidden, hasBias('query')),
                order: 'blocks' as const,
              }
            : {
                query: linearLayer(`${attention}.q_proj`, queries, hidden, hasBias('query')),
                key: linearLayer(`${attention}.k_proj`, keys, hidden, hasBias('key')),
                value: linearLayer(`${attention}.v_proj`, keys, hidden, hasBias('value')),
              }),
          output: linearLayer(`${attention}.o_proj`, hidden, queries, hasBias('output')),
          ...(own.queryKeyNorms
            ? {
                queryNorm: queryKeyNorm(`${attention}.q_norm`, heads),
                keyNorm: queryKeyNorm(`${attention}.k_norm`, keyHeads),
              }
            : {}),
          heads,
          keyHeads,
          headWidth,
          ...(own.unrotated?.(layer) ? {} : { rotation }),
          ...(window === undefined ? {} : { window }),
        },
        {
          kind: 'feed-forward',
          ...(own.parallel ? {} : norms.feedForward),
          ...(own.packed?.includes('feed-forward')
            ? { packed: linearLayer(`${feedForward}.gate_up_proj`, quadAxis(intermediate, 2), hidden, hasBias('gate')) }
            : {
                gate: linearLayer(`${feedForward}.gate_proj`, inner, hidden, hasBias('gate')),
                up: linearLayer(`${feedForward}.up_proj`, inner, hidden, hasBias('up')),
              }),
          down: linearLayer(`${feedForward}.down_proj`, hidden, inner, hasBias('down')),
          activation: activationNamed('hidden_act', values.hidden_act),
        },
      ];
      return own.parallel ? [{ kind: 'parallel', ...norms.attention, members }] : members;
    }),
    finalNorm: normOf('model.norm'),
    head: { ...matrix('lm_head', ...embeddingAxes(vocabulary, width)), tied: values.tie_word_embeddings },
  };
}

export const llama = family(
  llamaFields,
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias, values.mlp_bias),
      windows: (context) => noWindows(values, context),
    }),
  {
    ignored: noWindowLayers,
    neutral: {
      use_sliding_window: offElsewhere.use_sliding_window,
      activation: only(['swiglu'], 'the feed-forward layer would not be a gated one'),
    },
  },
);
