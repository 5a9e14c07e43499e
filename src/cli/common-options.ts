/**
 * Options that several commands share.
 *
 * @module
 */

import type { OpenDeviceOptions } from '../gpu/device.ts';
import type { FlagOption, TextOption } from './option.ts';

const group = 'General';

export const configOption = {
  name: 'config',
  type: 'text',
  placeholder: 'FILE',
  description: 'JSON file with values for these options, by long name or in camel case; flags and environment win',
  group,
} as const satisfies TextOption;

const adapterOption = {
  name: 'adapter',
  type: 'text',
  placeholder: 'NAME|INDEX',
  description: 'GPU to use: part of its name, or its number in the list that "subzero doctor" prints',
  defaultText: 'the first one, GPUs before software',
  group,
} as const satisfies TextOption;

const arithmeticOption = {
  name: 'arithmetic',
  type: 'text',
  choices: ['exact', 'half'],
  default: 'exact',
  description:
    'what matrix units multiply: exact keeps 22 bits of each number, half rounds it to f16 for half the work; sums ' +
    'are f32. Without matrix units everything is f32',
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
export const engineOptions = [adapterOption, arithmeticOption, quietOption, configOption] as const;

/** Values of {@link engineOptions} that say how the GPU is opened. */
export interface DeviceChoice {
  readonly adapter: string | undefined;
  readonly arithmetic: string;
}

/** A number names the adapter by its place in the list, anything else by its name. */
export function deviceOptions({
  adapter,
  arithmetic,
}: DeviceChoice): Pick<OpenDeviceOptions, 'adapter' | 'arithmetic'> {
  return {
    ...(adapter === undefined ? {} : { adapter: /^\d+$/.test(adapter) ? Number(adapter) : adapter }),
    ...(arithmetic === 'half' ? { arithmetic } : {}),
  };
}
