/**
 * BERT, and what its relatives share with it.
 *
 * @module
 */

import { plainAxis, quadAxis } from '../../tensor/axis.ts';
import { flag, real, text, type Values, whole } from '../config-fields.ts';
import { type KeysOfType, only } from '../config-keys.ts';
import {
  type Decoder,
  embeddingAxes,
  type Head,
  type LearnedPosition,
  layerNorm,
  linearLayer,
  matrix,
  type Norm,
  type Sublayer,
} from '../decoder.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';

/** Keys with the defaults of `BertConfig`. */
export const bertFields = {
  vocab_size: whole(30_522),
  hidden_size: whole(768),
  num_hidden_layers: whole(12),
  num_attention_heads: whole(12),
  intermediate_size: whole(3072),
  hidden_act: text('gelu'),
  max_position_embeddings: whole(512),
  type_vocab_size: whole(2),
  layer_norm_eps: real(1e-12, { zero: true }),
  tie_word_embeddings: flag(true),
};

const pooler = 'is about the pooler, which a masked language model does not have';

/** What holds for BERT and its relatives besides. */
export const bertKeys: KeysOfType = {
  classes: ['ForMaskedLM', 'ForPreTraining', 'Model'],
  ignored: {
    ...Object.fromEntries(
      ['fc_size', 'num_attention_heads', 'num_fc_layers', 'size_per_head', 'type'].map((name) => [
        `pooler_${name}`,
        pooler,
      ]),
    ),
    directionality: 'names what the architecture does anyway, in files of early conversions',
    output_past: 'is about what a call in Python returns, in files of early versions',
  },
  neutral: {
    is_decoder: only([false], 'tokens would not see those after them'),
    position_embedding_type: only(['absolute'], 'positions would be relative, which transformers 5 does not read'),
  },
};

/** Where a relative differs. */
export interface BertLike {
  /** What all names but those of the head begin with. */
  prefix: string;
  /** Most tokens of a text, and the row of the position table that its first token reads. */
  contextLength: number;
  position: Pick<LearnedPosition, 'offset' | 'padding'>;
  head: (parts: { normOf: (name: string) => Norm }) => Required<Pick<Head, 'name' | 'bias' | 'transform'>>;
}

/** A BERT-like model: learned positions, norms of the sums, every token sees all others, a head that transforms. */
export function bertLike(type: string, values: Values<typeof bertFields>, own: BertLike): Decoder {
  const { hidden_size: width, num_attention_heads: heads, vocab_size: vocabulary } = values;
  const { prefix, contextLength } = own;
  const [hidden, inner] = [quadAxis(width), quadAxis(values.intermediate_size)];
  const headWidth = evenHeadWidth(width, heads);
  const ofHeads = quadAxis(headWidth, heads);
  const normOf = (name: string): Norm => layerNorm(name, width, values.layer_norm_eps);
  const embeddings = `${prefix}.embeddings`;
  const head = own.head({ normOf });
  return {
    architecture: type,
    vocabularySize: vocabulary,
    contextLength,
    mask: 'bidirectional',
    position: {
      kind: 'learned',
      table: matrix(`${embeddings}.position_embeddings`, plainAxis(values.max_position_embeddings), hidden),
      ...own.position,
    },
    embedding: matrix(`${embeddings}.word_embeddings`, ...embeddingAxes(vocabulary, width)),
    tokenTypes: matrix(`${embeddings}.token_type_embeddings`, plainAxis(values.type_vocab_size), hidden),
    embeddingNorm: normOf(`${embeddings}.LayerNorm`),
    blocks: Array.from({ length: values.num_hidden_layers }, (_, layer): Sublayer[] => {
      const block = `${prefix}.encoder.layer.${layer}`;
      return [
        {
          kind: 'attention',
          ofSum: normOf(`${block}.attention.output.LayerNorm`),
          query: linearLayer(`${block}.attention.self.query`, ofHeads, hidden, true),
          key: linearLayer(`${block}.attention.self.key`, ofHeads, hidden, true),
          value: linearLayer(`${block}.attention.self.value`, ofHeads, hidden, true),
          output: linearLayer(`${block}.attention.output.dense`, hidden, ofHeads, true),
          heads,
          keyHeads: heads,
          headWidth,
        },
        {
          kind: 'feed-forward',
          ofSum: normOf(`${block}.output.LayerNorm`),
          up: linearLayer(`${block}.intermediate.dense`, inner, hidden, true),
          down: linearLayer(`${block}.output.dense`, hidden, inner, true),
          activation: activationNamed('hidden_act', values.hidden_act),
        },
      ];
    }),
    head: {
      ...matrix(head.name, ...embeddingAxes(vocabulary, width)),
      tied: values.tie_word_embeddings,
      // Untied, transformers adds the bias of the matrix itself instead.
      bias: values.tie_word_embeddings ? head.bias : `${head.name}.bias`,
      transform: head.transform,
    },
  };
}

export const bert = family(
  bertFields,
  (values, type) =>
    bertLike(type, values, {
      prefix: 'bert',
      contextLength: values.max_position_embeddings,
      position: { offset: 0 },
      head: ({ normOf }) => ({
        name: 'cls.predictions.decoder',
        bias: 'cls.predictions.bias',
        transform: {
          dense: square('cls.predictions.transform.dense', values.hidden_size),
          activation: activationNamed('hidden_act', values.hidden_act),
          norm: normOf('cls.predictions.transform.LayerNorm'),
        },
      }),
    }),
  bertKeys,
);

/** A linear layer of the hidden size with a bias. */
export function square(name: string, width: number) {
  return linearLayer(name, quadAxis(width), quadAxis(width), true);
}
