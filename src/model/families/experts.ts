/**
 * Layers of experts, as families describe them.
 *
 * @module
 */

import { SubzeroError } from '../../errors.ts';
import { type Axis, plainAxis, quadAxis } from '../../tensor/axis.ts';
import { flag, whole } from '../config-fields.ts';
import {
  type ClampedGate,
  type ExpertLinears,
  type ExpertsSublayer,
  linearLayer,
  matrix,
  type Norm,
  type Routing,
  type SharedExpert,
} from '../decoder.ts';

/** A layer of experts without the norms around it. */
export type ExpertsParts = Without<ExpertsSublayer, 'before' | 'after' | 'ofSum' | 'residualScale' | 'activation'>;

/** Omits keys of every member of a union. */
type Without<T, Keys extends PropertyKey> = T extends unknown ? Omit<T, Keys> : never;

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
  routerIsLayer?: true;
  shared?: SharedExpert;
}

function checkChosen({ chosen, experts }: Routing): void {
  if (chosen >= 1 && chosen <= experts) return;
  throw new SubzeroError(
    'invalid_data',
    `every token would go to ${chosen} experts of ${experts}; it can go to one at least, and to each once`,
  );
}

/** The modules of Llama's feed-forward layer. */
const llamaNames = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' };

/**
 * A layer whose experts have matrices of their own in the files.
 * @throws SubzeroError `invalid_data` where a token would go to more experts than there are
 */
export function expertsLayer(options: ExpertsOptions): ExpertsParts {
  const { router, experts, names = llamaNames, width, inner, routing, shared } = options;
  checkChosen(routing);
  return {
    kind: 'experts',
    router: linearLayer(router, quadAxis(routing.experts), quadAxis(width), false),
    routing,
    ...separateLinears(experts, names, { width, inner, routing }),
    ...(options.routerIsLayer ? { routerIsLayer: true } : {}),
    ...(shared ? { shared } : {}),
  };
}

/** The linear layers of experts that have matrices of their own. */
function separateLinears(
  experts: string,
  names: { gate: string; up: string; down: string },
  { width, inner, routing }: Pick<ExpertsOptions, 'width' | 'inner' | 'routing'>,
): { gate: ExpertLinears; up: ExpertLinears; down: ExpertLinears } {
  const [outside, inside] = [quadAxis(width), quadAxis(inner)];
  const each = (name: string, rows: Axis, columns: Axis): ExpertLinears => ({
    matrices: Array.from({ length: routing.experts }, (_, expert) =>
      matrix(`${experts}.${expert}.${name}`, rows, columns),
    ),
  });
  return {
    gate: each(names.gate, inside, outside),
    up: each(names.up, inside, outside),
    down: each(names.down, outside, inside),
  };
}

/** What a family says of a layer of experts whose matrices lie in a tensor for all of them. */
export interface PackedOptions
  extends Pick<ExpertsOptions, 'router' | 'width' | 'inner' | 'routing' | 'routerIsLayer' | 'shared'> {
  /** Names of the tensors. */
  tensors: { packed: string; down: string };
  /** Tensors are [experts, in features, out features]. */
  transposed?: true;
  /** Names of the biases, and whether the router has one. */
  biases?: { packed: string; down: string };
  interleaved: boolean;
  clamped?: ClampedGate;
  /** The module whose members are the experts by number, in files that have matrices of each. */
  separate?: string;
  /** The norms of the router's input and of what the experts give, where they have them. */
  routerNorm?: Norm;
  afterExperts?: Norm;
}

/** A layer whose experts lie in one tensor for gate and up, and one for down. */
export function packedExpertsLayer(options: PackedOptions): ExpertsParts {
  const { router, width, inner, routing, tensors, transposed, biases, interleaved, clamped, shared } = options;
  checkChosen(routing);
  const [outside, inside] = [quadAxis(width), quadAxis(inner)];
  const each = (tensor: string, rows: Axis, columns: Axis, bias?: string): ExpertLinears => ({
    matrices: Array.from({ length: routing.experts }, (_, index) => {
      const name = `${tensor}.${index}`;
      const within = { tensor, index, count: routing.experts };
      return { name, weight: name, rows, columns, within, ...(transposed ? { transposed } : {}) };
    }),
    ...(bias ? { bias } : {}),
  });
  const both = interleaved ? quadAxis(2 * inner) : quadAxis(inner, 2);
  return {
    kind: 'experts',
    router: linearLayer(router, quadAxis(routing.experts), outside, biases !== undefined),
    routing,
    packed: each(tensors.packed, both, outside, biases?.packed),
    down: each(tensors.down, outside, inside, biases?.down),
    interleaved,
    ...(clamped ? { clamped } : {}),
    ...(options.separate ? { separate: separateLinears(options.separate, llamaNames, options) } : {}),
    ...(options.routerIsLayer ? { routerIsLayer: true } : {}),
    ...(shared ? { shared } : {}),
    ...(options.routerNorm ? { routerNorm: options.routerNorm } : {}),
    ...(options.afterExperts ? { afterExperts: options.afterExperts } : {}),
  };
}

/** A feed-forward layer with a gate that every token goes through, scaled by the sigmoid of a number if it says so. */
export function sharedExpert(
  module: string,
  width: number,
  inner: number,
  { scale, biased = false }: { scale?: string; biased?: boolean } = {},
): SharedExpert {
  const [outside, inside] = [quadAxis(width), quadAxis(inner)];
  return {
    gate: linearLayer(`${module}.gate_proj`, inside, outside, biased),
    up: linearLayer(`${module}.up_proj`, inside, outside, biased),
    down: linearLayer(`${module}.down_proj`, outside, inside, biased),
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
