/**
 * Layers of experts as DeepSeek-V3 has them, without groups of experts: sigmoid scores, chosen by corrected ones, and a
 * feed-forward layer for all tokens besides.
 *
 * @module
 */

import { real, type Values, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { type ExpertsParts, expertsLayer, sharedExpert } from './experts.ts';

export const deepseekFields = {
  moe_intermediate_size: whole(1408),
  first_k_dense_replace: whole(1, 0),
  routed_scaling_factor: real(1),
};

interface Sizes extends Values<typeof deepseekFields> {
  hidden_size: number;
  num_experts_per_tok: number;
  n_routed_experts: number;
  n_shared_experts: number;
  norm_topk_prob: boolean;
}

/** Keys that choose among groups of experts first. */
export const oneGroup = {
  n_group: only([1], 'experts would be chosen by groups'),
  topk_group: only([1], 'experts would be chosen by groups'),
};

/** The experts of a layer; the first layers have none. */
export function deepseekExperts(values: Sizes, layer: number, prefix: string): ExpertsParts | undefined {
  if (layer < values.first_k_dense_replace) return undefined;
  const { hidden_size: width, moe_intermediate_size: inner } = values;
  return expertsLayer({
    ...{ router: `${prefix}.mlp.gate`, experts: `${prefix}.mlp.experts`, width, inner },
    routing: {
      ...{ experts: values.n_routed_experts, chosen: values.num_experts_per_tok, score: 'sigmoid' },
      ...{ normalised: values.norm_topk_prob, sumOffset: 1e-20, scale: values.routed_scaling_factor },
      correction: `${prefix}.mlp.gate.e_score_correction_bias`,
    },
    shared: sharedExpert(`${prefix}.mlp.shared_experts`, width, values.n_shared_experts * inner),
  });
}
