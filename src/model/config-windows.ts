/**
 * Which layers see only the last tokens, by architecture: one entry per layer, undefined for all tokens.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

type Windows = (number | undefined)[];

interface WindowValues {
  num_hidden_layers: number;
  sliding_window: number | null;
  layer_types: string[] | null;
}

/**
 * Llama: no layer has a window. In transformers a window in its configuration is unread but for the cache of
 * generation, where it makes another function than that of training; one that the context never fills changes nothing.
 */
export function noWindows(values: WindowValues, context: number): Windows {
  const { sliding_window: window } = values;
  if (window !== null && window < context) {
    throw new SubzeroError(
      'unsupported',
      `"sliding_window" must be null in this architecture, or at least its context of ${context}; got ${window}`,
    );
  }
  return windowsOf(values, undefined, () => false);
}

/**
 * Mistral: the layers that `layer_types` names have the window, or all; transformers reads the file with such a list as
 * a Ministral's.
 */
export function uniformWindows(values: WindowValues): Windows {
  return windowsOf(values, values.sliding_window ?? undefined, () => true);
}

/** Qwen: with `use_sliding_window`, the layers that `layer_types` names, or those from `max_window_layers` on. */
export function windowsByLayer(
  values: WindowValues & { use_sliding_window: boolean; max_window_layers: number },
): Windows {
  const window = values.use_sliding_window ? (values.sliding_window ?? undefined) : undefined;
  return windowsOf(values, window, (layer) => layer >= values.max_window_layers);
}

/** The layers that `layer_types` names, or else those of a pattern, have the window, which must be there for them. */
export function windowsByPattern(values: WindowValues, slides: (layer: number) => boolean): Windows {
  const { sliding_window: window, num_hidden_layers: layers, layer_types: types } = values;
  if (window === null && !types && Array.from({ length: layers }, (_, layer) => layer).some(slides)) {
    throw new SubzeroError(
      'invalid_data',
      '"sliding_window" must be a whole number where layers have a window; got null. ' +
        'Say in "layer_types" that they have none',
    );
  }
  return windowsOf(values, window ?? undefined, slides);
}

/** The window in the layers that `layer_types` names, or else in those that slide by default. */
export function windowsOf(
  values: WindowValues,
  window: number | undefined,
  slides: (layer: number) => boolean,
): Windows {
  const types = layerTypes(values);
  if (types?.includes('sliding_attention') && window === undefined) {
    throw new SubzeroError(
      'unsupported',
      '"layer_types" has layers with a window, and "sliding_window" (or "use_sliding_window") gives them none',
    );
  }
  return Array.from({ length: values.num_hidden_layers }, (_, layer) =>
    (types ? types[layer] === 'sliding_attention' : slides(layer)) ? window : undefined,
  );
}

/** The listed types of layers, of which there must be one for each layer and none of another kind. */
function layerTypes(values: WindowValues): string[] | undefined {
  const types = values.layer_types?.map((type) => (type === 'attention' ? 'full_attention' : type));
  if (!types) return undefined;
  const other = types.find((type) => type !== 'full_attention' && type !== 'sliding_attention');
  if (other !== undefined) {
    throw new SubzeroError(
      'unsupported',
      `"layer_types": layers of the type "${other}" are not supported; supported are full_attention, sliding_attention`,
    );
  }
  if (types.length !== values.num_hidden_layers) {
    throw new SubzeroError(
      'invalid_data',
      `"layer_types" has ${types.length} entries for ${values.num_hidden_layers} layers`,
    );
  }
  return types;
}
