/**
 * Layers of experts, as families describe them.
 *
 * @module
 */

import { SubzeroError } from '../../errors.ts';
import { type Axis, plainAxis, quadAxis } from '../../tensor/axis.ts';
import { flag, whole } from '../config-fields.ts';
import { type ExpertLinears, type ExpertsSublayer, linearLayer, matrix, type Routing } from '../decoder.ts';

/** A layer of experts without the norms around it. */
export type ExpertsParts = Omit<ExpertsSublayer, 'before' | 'after' | 'ofSum' | 'residualScale' | 'activation'>;

/** The usual keys of routing, with the defaults of a family. */
export const routingFields = (experts: number, chosen: number) => ({
  num_experts: whole(experts),
  num_experts_per_tok: whole(chosen),
  norm_topk_prob: flag(false),
});

/** What a family says of a layer of experts. */
export interface ExpertsOptions {
  /** Module of the router, and the one whose members are the experts by number. */
  router: string;
  experts: string;
  /** Modules of an expert. */
  names?: { gate: string; up: string; down: string };
  /** Elements of the hidden state, and inside of an expert. */
  width: number;
  inner: number;
  routing: Routing;
  shared?: ExpertsParts['shared'];
}

/** The modules of Llama's feed-forward layer. */
const llamaNames = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' };

/**
 * A layer whose experts have matrices of their own in the files.
 * @throws SubzeroError `invalid_data` where a token would go to more experts than there are
 */
export function expertsLayer(options: ExpertsOptions): ExpertsParts {
  const { router, experts, names = llamaNames, width, inner, routing, shared } = options;
  if (routing.chosen > routing.experts) {
    throw new SubzeroError(
      'invalid_data',
      `every token would go to ${routing.chosen} experts of ${routing.experts}; it can go to each once`,
    );
  }
  const [outside, inside] = [quadAxis(width), quadAxis(inner)];
  const each = (name: string, rows: Axis, columns: Axis): ExpertLinears => ({
    matrices: Array.from({ length: routing.experts }, (_, expert) =>
      matrix(`${experts}.${expert}.${name}`, rows, columns),
    ),
  });
  return {
    kind: 'experts',
    router: linearLayer(router, quadAxis(routing.experts), outside, false),
    routing,
    gate: each(names.gate, inside, outside),
    up: each(names.up, inside, outside),
    down: each(names.down, outside, inside),
    ...(shared ? { shared } : {}),
  };
}

/** A feed-forward layer with a gate that every token goes through, scaled by the sigmoid of a number if it says so. */
export function sharedExpert(
  module: string,
  width: number,
  inner: number,
  scale?: string,
): NonNullable<ExpertsParts['shared']> {
  const [outside, inside] = [quadAxis(width), quadAxis(inner)];
  return {
    gate: linearLayer(`${module}.gate_proj`, inside, outside, false),
    up: linearLayer(`${module}.up_proj`, inside, outside, false),
    down: linearLayer(`${module}.down_proj`, outside, inside, false),
    ...(scale ? { scale: linearLayer(scale, plainAxis(1), outside, false) } : {}),
  };
}

/** Layers of experts of the Qwen families: every `decoder_sparse_step`-th one, but for those that are listed. */
export function isSparse(
  {
    decoder_sparse_step: every,
    mlp_only_layers: dense,
  }: { decoder_sparse_step: number; mlp_only_layers: number[] | null },
  layer: number,
): boolean {
  return !dense?.includes(layer) && (layer + 1) % every === 0;
}
