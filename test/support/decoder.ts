/**
 * A decoder of layers that are all alike but for their windows, told in a few numbers.
 *
 * @module
 */

import { attentions, type Decoder, type FeedForwardSublayer } from '../../src/model/decoder.ts';
import { sublayerLinears } from '../../src/model/parameters.ts';
import { axisLength } from '../../src/tensor/axis.ts';

/** What the first layer is, and the window of each. */
export function summaryOf(decoder: Decoder) {
  const [attention, feedForward] = decoder.blocks[0]! as [ReturnType<typeof attentions>[number], FeedForwardSublayer];
  const norm = (attention.before ?? attention.ofSum)!;
  return {
    architecture: decoder.architecture,
    layerCount: decoder.blocks.length,
    hiddenSize: axisLength(sublayerLinears(attention)[0]![0]!.columns),
    headCount: attention.heads,
    keyHeadCount: attention.keyHeads,
    headWidth: attention.headWidth,
    normKind: norm.kind,
    normEpsilon: norm.epsilon,
    normAffine: norm.gain !== undefined,
    normFirst: attention.before !== undefined,
    biased: Object.entries({ ...attention, ...feedForward })
      .filter(([, part]) => typeof part === 'object' && 'bias' in part)
      .map(([name]) => name),
    activation: feedForward.activation,
    windows: attentions(decoder).map(({ window }) => window),
    embeddingWidth: axisLength(decoder.embedding.columns),
    tied: decoder.head.tied,
    contextLength: decoder.contextLength,
    position: decoder.position,
    rotation: attention.rotation,
    finalNorm: decoder.finalNorm?.name,
    projectIn: decoder.projectIn?.name,
  };
}
