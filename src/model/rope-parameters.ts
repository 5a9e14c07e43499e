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

/**
 * The rotation of a decoder's heads.
 *
 * @param width elements of a head
 * @param context `max_position_embeddings`
 * @param partial whether a part of each head may turn, as `partial_rotary_factor` says
 * @throws SubzeroError `unsupported` for rules that are not known and settings per layer type, `invalid_data` for
 *   wrong numbers
 */
export function readRope(
  keys: Values<typeof ropeFields>,
  width: number,
  context: number,
  partial = false,
): RopePosition {
  const { rope_scaling: older, rope_parameters: newer } = keys;
  // An empty object counts as none, as in Python.
  const values: Config = older && Object.keys(older).length > 0 ? older : (newer ?? {});
  const source = values === older ? 'rope_scaling' : 'rope_parameters';
  for (const [key, value] of Object.entries(values)) {
    if (settingKeys.has(key) || value === null) continue;
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
  const { rope_theta: theta } = readFields({ rope_theta: values.rope_theta ?? keys.rope_theta }, ropeFields);
  const share = values.partial_rotary_factor ?? keys.partial_rotary_factor ?? 1;
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
    outerOriginalContext: keys.original_max_position_embeddings,
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
