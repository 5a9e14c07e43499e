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
  type AttentionSublayer,
  type Decoder,
  embeddingAxes,
  type Linear,
  linearLayer,
  matrix,
  type Norm,
  rmsNorm,
  type Sublayer,
  type Xielu,
} from '../decoder.ts';
import { readRope, ropeFields } from '../rope-parameters.ts';
import { contextWith } from '../rope-rules.ts';
import type { RopePosition } from '../rope-table.ts';
import type { ExpertsParts } from './experts.ts';
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

/** The modules of a layer's norms, of what its sublayers read and of what they give. */
interface LayerNorms {
  attention: { before?: string; after?: string };
  feedForward: { before?: string; after?: string };
}

/** Norms of what the sublayers read, as Llama has them; of what they give; and of both. */
export const layerNorms = {
  before: { attention: { before: 'input_layernorm' }, feedForward: { before: 'post_attention_layernorm' } },
  after: { attention: { after: 'post_attention_layernorm' }, feedForward: { after: 'post_feedforward_layernorm' } },
  around: {
    attention: { before: 'input_layernorm', after: 'post_attention_layernorm' },
    feedForward: { before: 'pre_feedforward_layernorm', after: 'post_feedforward_layernorm' },
  },
} as const satisfies Record<string, LayerNorms>;

/** The modules of the feed-forward layer of Llama. */
const gatedLayers = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' };

/** The constants of xIELU, which files hold as tensors of these names. */
export const xieluConstants = { beta: 0.5, eps: -1e-6 };

/** A feed-forward layer by another module's names. */
interface PlainParts {
  kind: 'feed-forward';
  packed: Linear;
  down: Linear;
}

/** Where a relative differs. */
export interface LlamaLike {
  /** The linear layers that have a bias. */
  biased?: readonly LinearName[];
  /** Keys that each layer sees, of a context of so many tokens. */
  windows: (contextLength: number) => readonly (number | undefined)[];
  /** RMSNorms of queries and keys: of every head by itself, or of all heads together, and their modules. */
  queryKeyNorms?: 'head' | 'whole';
  queryKeyNames?: readonly [string, string];
  /** How the queries and keys of each layer are turned, where it is not as the rotary keys say for all of them. */
  rotation?: (layer: number) => RopePosition;
  /** Whether neighbouring elements of heads are turned as pairs. */
  interleaved?: boolean;
  /** Layers whose queries and keys are not turned by their positions. */
  unrotated?: (layer: number) => boolean;
  norms?: LayerNorms;
  /** A norm of another kind than RMSNorm with a gain. */
  norm?: (name: string, width: number) => Norm;
  /** The feed-forward layer's modules; without a gate the activation is that of `up`. */
  feedForward?: { gate?: string; up: string; down: string };
  /** The activation of the feed-forward layer's `up` has numbers of its own, and `hidden_act` is `linear`. */
  xielu?: boolean;
  /** Sublayers whose projections are one matrix: `qkv_proj`, `gate_up_proj`. */
  packed?: readonly Sublayer['kind'][];
  /** Module of scores, one for each head, that take part in every softmax. */
  sinks?: string;
  /** Experts in place of a layer's feed-forward layer, if it has any. @param prefix the layer's name */
  experts?: (layer: number, prefix: string) => ExpertsParts | PlainParts | undefined;
  /** Both sublayers of a layer read the same sum through the norm of attention. */
  parallel?: boolean;
  /** The factor of what sublayers add. */
  residualScale?: number;
  /** What holds for the attention of every layer besides. */
  attention?: Pick<AttentionSublayer, 'scale' | 'softCap' | 'normsRotated' | 'queryRotation'>;
  /** What holds for the decoder besides. */
  decoder?: Pick<Decoder, 'embeddingScale' | 'inputScale' | 'embeddingNorm' | 'logits' | 'stored'>;
}

/** What a Llama-like decoder is made of; windows are read by whoever knows what their keys mean. */
type LlamaValues = Omit<Values<typeof llamaLikeFields>, 'sliding_window' | 'layer_types'>;

/** A Llama-like decoder. */
export function llamaLike(type: string, values: LlamaValues, own: LlamaLike): Decoder {
  const { hidden_size: width, num_attention_heads: heads, rms_norm_eps: epsilon, vocab_size: vocabulary } = values;
  const { num_hidden_layers: layers, max_position_embeddings: trained } = values;
  const { norms = layerNorms.before, feedForward: modules = gatedLayers, residualScale } = own;
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
  const { rotation: rotationOf = sameRotation(values, headWidth, own.interleaved) } = own;
  const rotations = Array.from({ length: layers }, (_, layer) => rotationOf(layer));
  const contextLength = Math.max(...rotations.map(({ scaling }) => contextWith(scaling, trained)));
  const windows = own.windows(contextLength);
  const hidden = quadAxis(width);
  const inner = quadAxis(values.intermediate_size);
  const [queries, keys] = [quadAxis(headWidth, heads), quadAxis(headWidth, keyHeads)];
  const packedHeads = quadAxis(headWidth, heads + 2 * keyHeads);
  const gateAndUp = quadAxis(values.intermediate_size, 2);
  const hasBias = (name: LinearName): boolean => own.biased?.includes(name) ?? false;
  const normOf = own.norm ?? ((name, size) => rmsNorm(name, size, epsilon));
  const queryKeyNorm = (name: string, count: number): Norm =>
    normOf(name, own.queryKeyNorms === 'whole' ? count * headWidth : headWidth);
  const [queryName, keyName] = own.queryKeyNames ?? ['q_norm', 'k_norm'];
  return {
    architecture: type,
    vocabularySize: vocabulary,
    contextLength,
    embedding: matrix('model.embed_tokens', ...embeddingAxes(vocabulary, width)),
    blocks: windows.map((window, layer) => {
      const prefix = `model.layers.${layer}`;
      const [attention, feedForward] = [`${prefix}.self_attn`, `${prefix}.mlp`];
      const rotation = own.unrotated?.(layer) ? undefined : rotations[layer];
      const around = ({
        before,
        after,
      }: LayerNorms['attention']): Pick<Sublayer, 'before' | 'after' | 'residualScale'> => ({
        ...(before ? { before: normOf(`${prefix}.${before}`, width) } : {}),
        ...(after ? { after: normOf(`${prefix}.${after}`, width) } : {}),
        ...(residualScale === undefined ? {} : { residualScale }),
      });
      const { before, ...others } = around(norms.attention);
      const shared = before ? { before } : {};
      const activation = activationNamed('hidden_act', values.hidden_act);
      const experts = own.experts?.(layer, prefix);
      const members: Sublayer[] = [
        {
          kind: 'attention',
          ...others,
          ...(own.parallel ? {} : shared),
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
                queryNorm: queryKeyNorm(`${attention}.${queryName}`, heads),
                keyNorm: queryKeyNorm(`${attention}.${keyName}`, keyHeads),
              }
            : {}),
          heads,
          keyHeads,
          headWidth,
          ...(rotation ? { rotation } : {}),
          ...own.attention,
          ...(own.sinks ? { sinks: `${attention}.${own.sinks}` } : {}),
          ...(window === undefined ? {} : { window }),
        },
        experts
          ? { ...around(own.parallel ? {} : norms.feedForward), ...experts, activation }
          : {
              kind: 'feed-forward',
              ...around(own.parallel ? {} : norms.feedForward),
              ...(own.packed?.includes('feed-forward')
                ? { packed: linearLayer(`${feedForward}.gate_up_proj`, gateAndUp, hidden, hasBias('gate')) }
                : {
                    ...(modules.gate
                      ? { gate: linearLayer(`${feedForward}.${modules.gate}`, inner, hidden, hasBias('gate')) }
                      : {}),
                    up: linearLayer(`${feedForward}.${modules.up}`, inner, hidden, hasBias('up')),
                  }),
              down: linearLayer(`${feedForward}.${modules.down}`, hidden, inner, hasBias('down')),
              activation,
              ...(own.xielu ? { xielu: xieluOf(`${feedForward}.act_fn`) } : {}),
            },
      ];
      return own.parallel ? [{ kind: 'parallel', ...shared, members }] : members;
    }),
    finalNorm: normOf('model.norm', width),
    head: { ...matrix('lm_head', ...embeddingAxes(vocabulary, width)), tied: values.tie_word_embeddings },
    ...own.decoder,
  };
}

/** The numbers of a layer's xIELU, with the constants of its class. */
function xieluOf(name: string): Xielu {
  return {
    positive: `${name}.alpha_p`,
    negative: `${name}.alpha_n`,
    beta: xieluConstants.beta,
    epsilon: xieluConstants.eps,
  };
}

/** The rotation of all layers that the rotary keys say. */
function sameRotation(values: LlamaValues, headWidth: number, interleaved: boolean | undefined): () => RopePosition {
  const read = readRope(values, headWidth, values.max_position_embeddings);
  const rotation = interleaved ? { ...read, interleaved } : read;
  return () => rotation;
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
