/**
 * Where config.json says how heads are rotated: `rope_scaling` and `rope_theta` of older files, `rope_parameters` of
 * newer ones, and which of them counts where both are there, as in transformers 5.24.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { brief, type Config, object, orNull, readFields, real, type Values } from './config-fields.ts';
import { type RopeScaling, readRopeScaling, ropeTypes } from './rope-rules.ts';
import type { RopePosition } from './rope-table.ts';

/** The keys of config.json about rotation. */
export const ropeFields = {
  rope_scaling: object,
  rope_parameters: object,
  rope_theta: real(10_000),
  partial_rotary_factor: orNull(real(1)),
  original_max_position_embeddings: orNull(real(0)),
};

/** Keys of the rotary settings, of whatever rule: transformers leaves those of other rules unread. */
const settingKeys = new Set([
  ...['rope_type', 'type', 'rope_theta', 'factor', 'original_max_position_embeddings', 'partial_rotary_factor'],
  ...['attention_factor', 'beta_fast', 'beta_slow', 'mscale', 'mscale_all_dim', 'truncate'],
  ...['short_factor', 'long_factor', 'low_freq_factor', 'high_freq_factor'],
  // A note of the first YaRN checkpoints that they were fine-tuned with it.
  'finetuned',
]);

/** What a rotation is read from. */
interface RopeSource {
  values: Config;
  /** The key of config.json, for errors. */
  source: string;
  /** What counts where the settings have none. */
  theta: number;
  share: number | null;
  outerOriginalContext: number | null;
  /** Keys of this architecture besides. */
  own?: readonly string[];
  /** Whether a part of each head may turn. */
  partial?: boolean;
}

/**
 * The rotation of a decoder's heads.
 *
 * @param width elements of a head
 * @param context `max_position_embeddings`
 * @param own keys of the settings that this architecture reads besides, and whether a part of each head may turn, as
 *   `partial_rotary_factor` says
 * @throws SubzeroError `unsupported` for rules that are not known and settings per layer type, `invalid_data` for
 *   wrong numbers
 */
export function readRope(
  keys: Values<typeof ropeFields>,
  width: number,
  context: number,
  { own = [], partial = false }: Pick<RopeSource, 'own' | 'partial'> = {},
): RopePosition {
  const { values, source } = ropeSettings(keys);
  return readSettings(
    {
      ...{ values, source, own, partial },
      theta: keys.rope_theta,
      share: keys.partial_rotary_factor,
      outerOriginalContext: keys.original_max_position_embeddings,
    },
    width,
    context,
  );
}

/** The settings that count, and the key that holds them. */
export function ropeSettings({
  rope_scaling: older,
  rope_parameters: newer,
}: Pick<Values<typeof ropeFields>, 'rope_scaling' | 'rope_parameters'>): { values: Config; source: string } {
  // An empty object counts as none, as in Python.
  const values: Config = older && Object.keys(older).length > 0 ? older : (newer ?? {});
  return { values, source: values === older ? 'rope_scaling' : 'rope_parameters' };
}

/** The types of layers that may have rotations of their own. */
const layerTypes = ['full_attention', 'sliding_attention'] as const;

type LayerType = (typeof layerTypes)[number];

/**
 * The rotations of layers that see everything and of layers with a window: an object for each in `rope_parameters`, or
 * `rope_scaling` for the former alone.
 *
 * @param widths elements of a head, of all layers or of each type
 * @param thetas the bases where the settings have none
 * @throws SubzeroError as {@link readRope}
 */
export function readRopeOfTypes(
  keys: Pick<Values<typeof ropeFields>, 'rope_scaling' | 'rope_parameters' | 'partial_rotary_factor'>,
  widths: number | Record<LayerType, number>,
  context: number,
  thetas: Record<LayerType, number>,
): Record<LayerType, RopePosition> {
  const given = keys.rope_parameters ?? {};
  const other = Object.keys(given).find((key) => !layerTypes.includes(key as LayerType) && given[key] !== null);
  if (other !== undefined) {
    throw new SubzeroError(
      'unsupported',
      `"rope_parameters" must have an object for each of ${layerTypes.join(', ')} in this architecture; ` +
        `got the key "${other}"`,
    );
  }
  const read = (type: LayerType): RopePosition => {
    const { [type]: own } = readFields({ [type]: given[type] }, { [type]: object });
    const values = { ...own, ...(type === 'full_attention' ? keys.rope_scaling : {}) };
    // transformers looks for it beside the layer types, where it finds none.
    if (values.truncate === false) {
      throw new SubzeroError('unsupported', `"truncate" must be true in the settings of a layer type; got false`);
    }
    const share = keys.partial_rotary_factor;
    const source = `rope_parameters.${type}`;
    const width = typeof widths === 'number' ? widths : widths[type];
    return readSettings({ values, source, theta: thetas[type], share, outerOriginalContext: null }, width, context);
  };
  return { full_attention: read('full_attention'), sliding_attention: read('sliding_attention') };
}

function readSettings(given: RopeSource, width: number, context: number): RopePosition {
  const { values, source, own = [], partial = false, outerOriginalContext } = given;
  for (const [key, value] of Object.entries(values)) {
    if (settingKeys.has(key) || own.includes(key) || value === null) continue;
    const nested = typeof value === 'object' && !Array.isArray(value);
    throw new SubzeroError(
      'unsupported',
      nested
        ? `"${source}" has settings for the layer type "${key}"; this architecture takes one setting for all layers`
        : `"${source}" has the key "${key}" (${brief(value)}), which is not known here; ` +
            'remove it if the model was trained without it',
    );
  }
  const type = values.rope_type === undefined ? (values.type ?? 'default') : values.rope_type;
  if (!ropeTypes.includes(type as RopeScaling['type'])) {
    throw new SubzeroError(
      'unsupported',
      `rope scaling ${JSON.stringify(type)} is not supported; supported are ${ropeTypes.join(', ')}`,
    );
  }
  const { rope_theta: theta } = readFields({ rope_theta: values.rope_theta ?? given.theta }, ropeFields);
  const share = values.partial_rotary_factor ?? given.share ?? 1;
  if ((type === 'proportional') === partial && share !== 1) {
    throw new SubzeroError(
      'unsupported',
      `"partial_rotary_factor" must be 1 in this architecture with rope scaling "${String(type)}"; got ${brief(share)}`,
    );
  }
  const rotaryWidth = partial ? turnedWidth(width, share) : width;
  const scaling = readRopeScaling(type as RopeScaling['type'], {
    values: { ...values, ...(type === 'proportional' ? { partial_rotary_factor: share } : {}) },
    width: rotaryWidth,
    context,
    outerOriginalContext,
  });
  return { theta, rotaryWidth, scaling };
}

/** Elements of a head that turn. */
function turnedWidth(width: number, share: unknown): number {
  const turned = typeof share === 'number' ? Math.floor(width * share) : Number.NaN;
  if (turned >= 2 && turned <= width && turned % 2 === 0) return turned;
  throw new SubzeroError(
    'invalid_data',
    `"partial_rotary_factor" must make an even part of a head of ${width} elements turn; got ${brief(share)}`,
  );
}
