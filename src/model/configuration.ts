/**
 * From a checkpoint's config.json to the description of a decoder. Configuration is data: an architecture that is not
 * in the table of families is refused, whatever code it comes with.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type Config, readFields } from './config-fields.ts';
import { checkKeys } from './config-keys.ts';
import { attentions, type Decoder } from './decoder.ts';
import { type Family, keysOf } from './families/family.ts';
import { families } from './families/index.ts';

/** The model types that can be loaded. */
export const supportedArchitectures: readonly string[] = Object.keys(families);

/**
 * Reads a parsed config.json. Absent keys have the defaults of the type's class in Hugging Face transformers.
 *
 * @throws SubzeroError `unsupported` for an unknown architecture, feature or key, `invalid_data` for wrong values
 */
export async function readConfiguration(config: Config, file: string): Promise<Decoder> {
  const type = config.model_type;
  const known = typeof type === 'string' && Object.hasOwn(families, type) ? families[type] : undefined;
  if (!known) {
    throw new SubzeroError(
      'unsupported',
      `${file}: the architecture ${JSON.stringify(type ?? null)} is not supported; supported are ` +
        `${supportedArchitectures.join(', ')}`,
    );
  }
  return readConfigurationOf(await known(), config, file);
}

/** Reads a parsed config.json of a family, as {@link readConfiguration} does. */
export function readConfigurationOf(family: Family, config: Config, file: string): Decoder {
  const type = config.model_type as string;
  try {
    checkKeys(config, type, keysOf(family), family);
    const decoder = family.read(readFields(config, family.fields), type);
    for (const { heads, keyHeads } of attentions(decoder)) {
      if (heads % keyHeads !== 0) {
        throw new SubzeroError('invalid_data', `${heads} heads cannot share ${keyHeads} key heads evenly`);
      }
    }
    return decoder;
  } catch (error) {
    if (error instanceof SubzeroError) throw new SubzeroError(error.code, `${file}: ${error.message}`);
    throw error;
  }
}
