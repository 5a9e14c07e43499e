/**
 * How a family of checkpoints is read: the keys of its configuration class, and the decoder that they make.
 *
 * @module
 */

import { SubzeroError } from '../../errors.ts';
import { activationNames, type MatmulActivation } from '../../ops/activation.ts';
import type { Field, Values } from '../config-fields.ts';
import type { KeysOfType } from '../config-keys.ts';
import type { Decoder } from '../decoder.ts';

type Fields = Readonly<Record<string, Field<unknown>>>;

export interface Family<F extends Fields = Fields> extends KeysOfType {
  /** The keys of config.json with their defaults. */
  fields: F;
  /**
   * @param type the model type
   * @throws SubzeroError without the file's name
   */
  read: (values: Values<F>, type: string) => Decoder;
}

/** A family whose `read` sees the values that its fields have. @param own keys that are not read */
export function family<F extends Fields>(fields: F, read: Family<F>['read'], own: KeysOfType = {}): Family {
  return { fields, read: read as Family['read'], ...own };
}

/** Keys that are read for every family: its name, the class that must be its own, and code that must not. */
const commonKeys = ['model_type', 'architectures', 'auto_map'];

/** The keys of config.json that a family reads. */
export function keysOf({ fields }: Family): Set<string> {
  return new Set([...commonKeys, ...Object.keys(fields)]);
}

/** Elements of a head where the hidden size is split evenly among the heads. */
export function evenHeadWidth(hiddenSize: number, headCount: number): number {
  if (hiddenSize % headCount !== 0) {
    throw new SubzeroError(
      'invalid_data',
      `the hidden size ${hiddenSize} cannot be split evenly among ${headCount} heads`,
    );
  }
  return hiddenSize / headCount;
}

/** The activation that a key names as transformers does. */
export function activationNamed(key: string, name: string): MatmulActivation {
  const activation = Object.hasOwn(activationNames, name) ? activationNames[name] : undefined;
  if (activation) return activation;
  throw new SubzeroError(
    'unsupported',
    `"${key}": the activation "${name}" is not supported; expected ${Object.keys(activationNames).join(', ')}`,
  );
}
