/**
 * What tells the layers of Gemma 4 apart: their kinds, the heads of each kind, and whose keys and values they read.
 *
 * @module
 */

import { SubzeroError } from '../../errors.ts';
import { brief, type Config, object, readFields, whole } from '../config-fields.ts';
import type { attentionType } from '../config-layers.ts';

/** What a layer with a window is called. */
export const slidingType = 'sliding_attention';

/** The types of layers that see everything, and of layers with a window. */
export type KindOfLayer = typeof attentionType | typeof slidingType;

interface Heads {
  headWidth: number;
  keyHeads: number;
}

/** The heads of each kind of layer. */
export type KindSizes = Record<KindOfLayer, Heads>;

interface HeadValues {
  head_dim: number;
  num_key_value_heads: number;
  global_head_dim: number;
  num_global_key_value_heads: number | null;
  attention_k_eq_v: boolean;
  per_layer_config: Config | null;
}

/**
 * The heads of each kind of layer: by layer as `per_layer_config` says, which goes before the other keys, or as the
 * keys of layers that see everything say.
 *
 * @throws SubzeroError `unsupported` for other settings of single layers, and where layers of a kind differ;
 *   `invalid_data` for wrong values
 */
export function sizesOfKinds(values: HeadValues, kinds: readonly KindOfLayer[]): KindSizes {
  const { head_dim: headWidth, num_key_value_heads: keyHeads, per_layer_config: byLayer } = values;
  const usual = { headWidth, keyHeads };
  let sizes: KindSizes = { full_attention: usual, sliding_attention: usual };
  if (byLayer) {
    const layers = kinds.map((kind, layer) => ({ kind, ...headsOfLayer(byLayer, layer, usual) }));
    refuseOtherLayers(byLayer, kinds.length);
    sizes = { ...sizes, ...Object.fromEntries(layers.map(({ kind, ...heads }) => [kind, heads])) };
    const other = layers.findIndex(
      ({ kind, ...heads }) => sizes[kind].headWidth !== heads.headWidth || sizes[kind].keyHeads !== heads.keyHeads,
    );
    if (other >= 0) {
      throw new SubzeroError(
        'unsupported',
        `"per_layer_config" must be the same for all layers of a type; layer ${other} differs from others that are ` +
          `"${kinds[other]}"`,
      );
    }
  } else {
    const own = values.attention_k_eq_v ? values.num_global_key_value_heads : null;
    sizes = { ...sizes, full_attention: { headWidth: values.global_head_dim, keyHeads: own ?? keyHeads } };
  }
  for (const { headWidth: elements } of kinds.map((kind) => sizes[kind])) {
    if (elements % 2 === 0) continue;
    throw new SubzeroError(
      'invalid_data',
      `heads of ${elements} elements cannot be turned in pairs; their width must be even`,
    );
  }
  return sizes;
}

/** The number of a layer in the keys of `per_layer_config`, which may have zeros in front. */
function layerOf(key: string): number {
  return /^\d+$/.test(key) ? Number(key) : -1;
}

function headsOfLayer(byLayer: Config, layer: number, usual: Heads): Heads {
  const key = Object.keys(byLayer).findLast((each) => layerOf(each) === layer);
  if (key === undefined) return usual;
  const { [key]: own } = readFields({ [key]: byLayer[key] }, { [key]: object });
  const { head_dim: _width, num_key_value_heads: _heads, ...others } = own ?? {};
  const [strange] = Object.keys(others);
  if (strange !== undefined) {
    throw new SubzeroError(
      'unsupported',
      `"per_layer_config": the key "${strange}" (${brief(others[strange])}) of layer ${layer} is not supported; ` +
        'supported are head_dim, num_key_value_heads',
    );
  }
  const { head_dim: headWidth, num_key_value_heads: keyHeads } = readFields(own ?? {}, {
    head_dim: whole(usual.headWidth),
    num_key_value_heads: whole(usual.keyHeads),
  });
  return { headWidth, keyHeads };
}

function refuseOtherLayers(byLayer: Config, count: number): void {
  const strange = Object.keys(byLayer).find((key) => layerOf(key) < 0 || layerOf(key) >= count);
  if (strange === undefined) return;
  throw new SubzeroError(
    'invalid_data',
    `"per_layer_config" must name layers by their numbers from 0 to ${count - 1}; got "${strange}"`,
  );
}

/**
 * Whose keys and values each layer reads: those of the last one of its kind before the layers that share them, by its
 * number; undefined of layers with keys of their own.
 *
 * @param shared how many layers at the end share keys
 * @throws SubzeroError `invalid_data` where no earlier layer is of a kind
 */
export function keySources(shared: number, kinds: readonly KindOfLayer[]): (number | undefined)[] {
  const first = kinds.length - shared;
  return kinds.map((kind, layer) => {
    if (layer < first) return undefined;
    const source = kinds.slice(0, Math.max(0, first)).lastIndexOf(kind);
    if (source >= 0) return source;
    throw new SubzeroError(
      'invalid_data',
      `"num_kv_shared_layers" is ${shared} of ${kinds.length} layers, and none of the others is "${kind}", ` +
        `whose keys layer ${layer} could share`,
    );
  });
}
