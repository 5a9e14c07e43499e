/**
 * The experts of Gemma 4, which stand beside its feed-forward layers: both read the sum of the layer, each through a
 * norm of its own, and so does the router; what they give is normed by itself, added up, and normed once more.
 *
 * @module
 */

import { type FeedForwardSublayer, type Linear, rmsNorm, type Sublayer } from '../decoder.ts';
import { packedExpertsLayer } from './experts.ts';

/** A feed-forward layer with a gate. */
export type GatedFeedForward = Extract<FeedForwardSublayer, { up: Linear }> & { gate: Linear };

/** From a feed-forward layer, with its norms, to the same with experts beside it. @param prefix the layer's name */
export type BesideExperts = (prefix: string, feedForward: GatedFeedForward) => Sublayer;

/**
 * @param sizes.inner elements inside of an expert
 * @throws SubzeroError `invalid_data` where a token would go to more experts than there are
 */
export function gemma4Experts(sizes: {
  experts: number;
  chosen: number;
  inner: number;
  width: number;
  epsilon: number;
}): BesideExperts {
  const { experts, chosen, inner, width, epsilon } = sizes;
  const normOf = (name: string) => rmsNorm(name, width, epsilon);
  return (prefix, { before, after, gate, up, down, activation }) => ({
    ...packedExpertsLayer({
      ...{ router: `${prefix}.router.proj`, width, inner, interleaved: false },
      routing: {
        ...{ experts, chosen, score: 'softmax', normalised: true, logitScale: 1 / Math.sqrt(width) },
        expertScales: `${prefix}.router.per_expert_scale`,
      },
      tensors: { packed: `${prefix}.experts.gate_up_proj`, down: `${prefix}.experts.down_proj` },
      routerIsLayer: true,
      routerNorm: { ...normOf(`${prefix}.router.norm`), gain: `${prefix}.router.scale` },
      afterExperts: normOf(`${prefix}.post_feedforward_layernorm_2`),
      shared: {
        ...{ gate, up, down, after: normOf(`${prefix}.post_feedforward_layernorm_1`) },
        ...(before ? { before } : {}),
      },
    }),
    before: normOf(`${prefix}.pre_feedforward_layernorm_2`),
    ...(after ? { after } : {}),
    activation,
  });
}
