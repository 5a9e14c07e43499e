/**
 * Options that several commands share.
 *
 * @module
 */

import type { FlagOption, TextOption } from './option.ts';

const group = 'General';

export const configOption = {
  name: 'config',
  type: 'text',
  placeholder: 'FILE',
  description: 'JSON file with values for these options, by long name or in camel case; flags and environment win',
  group,
} as const satisfies TextOption;

export const adapterOption = {
  name: 'adapter',
  type: 'text',
  placeholder: 'NAME|INDEX',
  description: 'GPU to use: part of its name, or its number in the list that "subzero doctor" prints',
  defaultText: 'the fastest one',
  group,
} as const satisfies TextOption;

export const quietOption = {
  name: 'quiet',
  type: 'flag',
  description: 'no progress, only results, warnings and errors',
  group,
} as const satisfies FlagOption;

export const jsonOption = {
  name: 'json',
  type: 'flag',
  description: 'print the result as one JSON line',
  group,
} as const satisfies FlagOption;

/** For every command that opens the GPU. */
export const engineOptions = [adapterOption, quietOption, configOption] as const;

/** A number names the adapter by its place in the list, anything else by its name. */
export function adapterChoice(adapter: string | undefined): { adapter?: string | number } {
  if (adapter === undefined) return {};
  return { adapter: /^\d+$/.test(adapter) ? Number(adapter) : adapter };
}
