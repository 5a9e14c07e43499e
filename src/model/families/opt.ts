import { plainAxis, quadAxis } from '../../tensor/axis.ts';
import { flag, orNull, text, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { embeddingAxes, layerNorm, linearLayer, matrix, type Norm, type Sublayer } from '../decoder.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';

/** Keys with the defaults of `OPTConfig`. */
const fields = {
  vocab_size: whole(50_272),
  hidden_size: whole(768),
  num_hidden_layers: whole(12),
  ffn_dim: whole(3072),
  num_attention_heads: whole(12),
  max_position_embeddings: whole(2048),
  do_layer_norm_before: flag(true),
  _remove_final_layer_norm: flag(false),
  word_embed_proj_dim: orNull(whole(0)),
  activation_function: text('relu'),
  enable_bias: flag(true),
  layer_norm_elementwise_affine: flag(true),
  tie_word_embeddings: flag(true),
};

/** Fixed in the architecture, not in its config. */
const epsilon = 1e-5;

/** The first two rows of the position table are unused: position p reads row p + 2. */
const unusedPositions = 2;

/**
 * OPT: learned positions, LayerNorms, plain feed-forward layers; norms after the sums and a narrow embedding in
 * OPT-350m.
 */
export const opt = family(
  fields,
  (values) => {
    const { hidden_size: width, num_attention_heads: heads, vocab_size: vocabulary } = values;
    const { max_position_embeddings: contextLength, enable_bias: biased } = values;
    const embeddingWidth = values.word_embed_proj_dim ?? width;
    const decoder = 'model.decoder';
    const [hidden, inner, embedding] = [quadAxis(width), quadAxis(values.ffn_dim), quadAxis(embeddingWidth)];
    const headWidth = evenHeadWidth(width, heads);
    const ofHeads = quadAxis(headWidth, heads);
    const affine = values.layer_norm_elementwise_affine;
    const normOf = (name: string): Norm => layerNorm(name, width, epsilon, { gain: affine, shift: affine });
    const around = (name: string): Pick<Sublayer, 'before' | 'ofSum'> =>
      values.do_layer_norm_before ? { before: normOf(name) } : { ofSum: normOf(name) };
    return {
      architecture: 'opt',
      vocabularySize: vocabulary,
      contextLength,
      position: {
        kind: 'learned',
        table: matrix(`${decoder}.embed_positions`, plainAxis(contextLength + unusedPositions), hidden),
        offset: unusedPositions,
      },
      embedding: matrix(`${decoder}.embed_tokens`, ...embeddingAxes(vocabulary, embeddingWidth)),
      ...(embeddingWidth === width
        ? {}
        : {
            projectIn: linearLayer(`${decoder}.project_in`, hidden, embedding, false),
            projectOut: linearLayer(`${decoder}.project_out`, embedding, hidden, false),
          }),
      blocks: Array.from({ length: values.num_hidden_layers }, (_, layer): Sublayer[] => {
        const prefix = `${decoder}.layers.${layer}`;
        const attention = `${prefix}.self_attn`;
        return [
          {
            kind: 'attention',
            ...around(`${prefix}.self_attn_layer_norm`),
            query: linearLayer(`${attention}.q_proj`, ofHeads, hidden, biased),
            key: linearLayer(`${attention}.k_proj`, ofHeads, hidden, biased),
            value: linearLayer(`${attention}.v_proj`, ofHeads, hidden, biased),
            output: linearLayer(`${attention}.out_proj`, hidden, ofHeads, biased),
            heads,
            keyHeads: heads,
            headWidth,
          },
          {
            kind: 'feed-forward',
            ...around(`${prefix}.final_layer_norm`),
            up: linearLayer(`${prefix}.fc1`, inner, hidden, biased),
            down: linearLayer(`${prefix}.fc2`, hidden, inner, biased),
            activation: activationNamed('activation_function', values.activation_function),
          },
        ];
      }),
      ...(values.do_layer_norm_before && !values._remove_final_layer_norm
        ? { finalNorm: normOf(`${decoder}.final_layer_norm`) }
        : {}),
      head: { ...matrix('lm_head', ...embeddingAxes(vocabulary, embeddingWidth)), tied: values.tie_word_embeddings },
    };
  },
  {
    neutral: {
      layer_norm_eps: only([epsilon], 'this architecture has 1e-5 fixed'),
      learned_embeddings: only([true], 'positions would not be learned'),
      scale_embeddings: only([false], 'embeddings would be scaled'),
    },
  },
);
