/**
 * Architectures whose layers are of several kinds: which kind each is, by `layer_types`.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

/** What an attention layer is called. */
export const attentionType = 'full_attention';

/**
 * The kind of each layer.
 *
 * @param other the kind of those that are no attention layers
 * @param attends whether a layer is one where `layer_types` is absent
 * @throws SubzeroError `unsupported` for kinds that are not known, `invalid_data` for a list of another length
 */
export function kindsOfLayers<Other extends string>(
  { num_hidden_layers: count, layer_types: listed }: { num_hidden_layers: number; layer_types: string[] | null },
  other: Other,
  attends: (layer: number) => boolean,
): (typeof attentionType | Other)[] {
  if (listed && listed.length !== count) {
    throw new SubzeroError('invalid_data', `"layer_types" has ${listed.length} entries for ${count} layers`);
  }
  return Array.from({ length: count }, (_, layer): typeof attentionType | Other => {
    const kind = listed ? listed[layer] : attends(layer) ? attentionType : other;
    if (kind === attentionType || kind === other) return kind as typeof attentionType | Other;
    throw new SubzeroError(
      'unsupported',
      `"layer_types": layers of the type "${kind}" are not supported; supported are ${attentionType}, ${other}`,
    );
  });
}

/**
 * @throws SubzeroError `unsupported` for a width with which rows would need pads, which recurrent layers do not know
 */
export function wholeQuadsOnly(widths: Readonly<Record<string, number>>): void {
  for (const [key, width] of Object.entries(widths)) {
    if (width % 4 === 0) continue;
    throw new SubzeroError('unsupported', `"${key}" must be a multiple of 4 in this architecture; got ${width}`);
  }
}
