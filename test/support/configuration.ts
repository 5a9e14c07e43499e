/**
 * Reading config.json without waiting: all families imported beforehand.
 *
 * @module
 */

import type { Config } from '../../src/model/config-fields.ts';
import { readConfigurationOf } from '../../src/model/configuration.ts';
import type { Decoder } from '../../src/model/decoder.ts';
import { type Family, keysOf } from '../../src/model/families/family.ts';
import { families as known } from '../../src/model/families/index.ts';

/** By model type. */
export const families: Readonly<Record<string, Family>> = Object.fromEntries(
  await Promise.all(Object.entries(known).map(async ([type, load]) => [type, await load()] as const)),
);

/** The keys of config.json that an architecture reads. */
export function keysRead(type: string): Set<string> {
  return keysOf(families[type]!);
}

/** `readConfiguration` of a type that is known. */
export function readConfiguration(config: Config, file: string): Decoder {
  return readConfigurationOf(families[config.model_type as string]!, config, file);
}
