/**
 * What GPT-2 and its relatives share: LayerNorms and plain feed-forward layers, under names of each one's own.
 *
 * @module
 */

import type { MatmulActivation } from '../../ops/activation.ts';
import type { PackedOrder } from '../../ops/split.ts';
import { type Axis, plainAxis, quadAxis } from '../../tensor/axis.ts';
import {
  type Alibi,
  type Decoder,
  embeddingAxes,
  type Linear,
  layerNorm,
  linearLayer,
  matrix,
  type Norm,
  type Sublayer,
} from '../decoder.ts';
import type { RopePosition } from '../rope-table.ts';

/** Names of modules; those of a layer are relative to it. */
export interface GptNames {
  embedding: string;
  /** The table of learned positions. */
  positions?: string;
  layers: string;
  finalNorm: string;
  /** One norm for both sublayers, which are parallel, or the norm of attention and that of the feed-forward layer. */
  norms: readonly [string] | readonly [attention: string, feedForward: string];
  /** One layer for queries, keys and values, or three. */
  projections: readonly [string] | readonly [query: string, key: string, value: string];
  output: string;
  up: string;
  down: string;
  /** LayerNorms of every query and key by itself. */
  queryKeyNorms?: readonly [string, string];
}

/** A GPT-like decoder in the terms of its family. */
export interface GptLike {
  names: GptNames;
  vocabulary: number;
  width: number;
  /** Width of the feed-forward layers. */
  inner: number;
  layers: number;
  heads: number;
  keyHeads?: number;
  headWidth: number;
  contextLength: number;
  epsilon: number;
  activation: MatmulActivation;
  tied: boolean;
  /** Which linear layers have a bias, and whether norms have one, as they do by default. */
  biased: { projections: boolean; output: boolean; feedForward: boolean; head?: boolean; norms?: boolean };
  /** How the heads of one projection lie. */
  order?: PackedOrder;
  /** Matrices of the layers are [in features, out features] in the checkpoint. */
  transposed?: boolean;
  /** Both sublayers of a layer read the same sum. */
  parallel?: boolean;
  rotation?: RopePosition;
  /** What scores fall by with the distance. */
  alibi?: Alibi;
  /** Keys that a layer sees. */
  windowOf?: (layer: number) => number | undefined;
  /** The factor of a layer's scores, if not one by the root of the width of a head. */
  scoreScaleOf?: (layer: number) => number | undefined;
}

/** @param type the model type */
export function gptLike(type: string, plan: GptLike): Decoder {
  const { names, vocabulary, width, heads, keyHeads = heads, headWidth, biased } = plan;
  const [hidden, inner] = [quadAxis(width), quadAxis(plan.inner)];
  const [queries, keys] = [quadAxis(headWidth, heads), quadAxis(headWidth, keyHeads)];
  const normOf = (name: string, of = width): Norm =>
    layerNorm(name, of, plan.epsilon, { gain: true, shift: biased.norms ?? true });
  const blockOf = (layer: number): Sublayer[] => {
    const own = (name: string): string => `${names.layers}.${layer}.${name}`;
    const linear = (name: string, rows: Axis, columns: Axis, hasBias: boolean): Linear => ({
      ...linearLayer(own(name), rows, columns, hasBias),
      ...(plan.transposed ? { transposed: true } : {}),
    });
    const [first, key, value] = names.projections;
    const projection = (name: string, rows: Axis): Linear => linear(name, rows, hidden, biased.projections);
    const [attentionNorm, feedForwardNorm] = names.norms;
    const [window, scale] = [plan.windowOf?.(layer), plan.scoreScaleOf?.(layer)];
    return [
      {
        kind: 'attention',
        ...(feedForwardNorm ? { before: normOf(own(attentionNorm)) } : {}),
        ...(key && value
          ? { query: projection(first, queries), key: projection(key, keys), value: projection(value, keys) }
          : {
              packed: projection(first, quadAxis(headWidth, heads + 2 * keyHeads)),
              order: plan.order ?? 'blocks',
            }),
        output: linear(names.output, hidden, queries, biased.output),
        ...(names.queryKeyNorms
          ? {
              queryNorm: normOf(own(names.queryKeyNorms[0]), headWidth),
              keyNorm: normOf(own(names.queryKeyNorms[1]), headWidth),
            }
          : {}),
        ...{ heads, keyHeads, headWidth },
        ...(plan.rotation ? { rotation: plan.rotation } : {}),
        ...(plan.alibi ? { alibi: plan.alibi } : {}),
        ...(window === undefined ? {} : { window }),
        ...(scale === undefined ? {} : { scale }),
      },
      {
        kind: 'feed-forward',
        ...(feedForwardNorm ? { before: normOf(own(feedForwardNorm)) } : {}),
        up: linear(names.up, inner, hidden, biased.feedForward),
        down: linear(names.down, hidden, inner, biased.feedForward),
        activation: plan.activation,
      },
    ];
  };
  const parallelOf = (layer: number): Decoder['blocks'][number] => {
    const shared = names.norms.length === 1 ? { before: normOf(`${names.layers}.${layer}.${names.norms[0]}`) } : {};
    return [{ kind: 'parallel', ...shared, members: blockOf(layer) }];
  };
  return {
    architecture: type,
    vocabularySize: vocabulary,
    contextLength: plan.contextLength,
    ...(names.positions
      ? {
          position: {
            kind: 'learned',
            table: matrix(names.positions, plainAxis(plan.contextLength), hidden),
            offset: 0,
          },
        }
      : {}),
    embedding: matrix(names.embedding, ...embeddingAxes(vocabulary, width)),
    blocks: Array.from({ length: plan.layers }, (_, layer) => (plan.parallel ? parallelOf(layer) : blockOf(layer))),
    finalNorm: normOf(names.finalNorm),
    head: {
      ...linearLayer('lm_head', ...embeddingAxes(vocabulary, width), biased.head ?? false),
      tied: plan.tied,
    },
  };
}
