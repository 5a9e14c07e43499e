/**
 * Settings of training as options of the command line, made from their table.
 *
 * @module
 */

import { expectedOf, type TrainConfiguration } from '../settings/configuration.ts';
import { type SettingName, settingNames, settingOf } from '../settings/settings.ts';
import type { CommandContext } from './command.ts';
import { kebabCase, type OptionSpecification } from './option.ts';
import { UsageError } from './usage-error.ts';

const groups = { data: 'Model and data', method: 'Method', run: 'Run' } as const;

/** The option of a setting: its name in kebab case, its default and what else its row says. */
export function settingOption(name: SettingName): OptionSpecification {
  const setting = settingOf(name);
  const { help, group, placeholder } = setting;
  const common = {
    name: kebabCase(name),
    group: groups[group],
    description: setting.unit === 'bytes' ? `${help}; may be written as 6GiB` : help,
    ...(placeholder === undefined ? {} : { placeholder }),
  };
  switch (setting.type) {
    case 'integer':
    case 'number': {
      const type = setting.unit === 'bytes' ? 'bytes' : setting.type;
      return { ...common, type, default: setting.default, check: boundsOf(name) };
    }
    case 'choice':
      // The choices of a row are of one type.
      return typeof setting.default === 'number'
        ? { ...common, type: 'integer', choices: setting.choices as readonly number[], default: setting.default }
        : { ...common, type: 'text', choices: setting.choices as readonly string[], default: setting.default };
    case 'boolean':
      return { ...common, type: 'flag', default: setting.default };
    case 'text':
      return { ...common, type: 'text', default: setting.default, check: boundsOf(name) };
    case 'list':
      return { ...common, type: 'list' };
  }
}

/** Only the settings that were given: the defaults are the configuration's own business. */
export function givenSettings({
  options,
  sources,
}: Pick<CommandContext<object>, 'options' | 'sources'>): Partial<TrainConfiguration> {
  const values = options as Readonly<Record<string, unknown>>;
  const given = settingNames.filter((name) => sources[name] !== undefined && sources[name] !== 'default');
  return Object.fromEntries(given.map((name) => [name, values[name]]));
}

function boundsOf(name: SettingName) {
  return (value: number | string, label: string) => {
    const expected = expectedOf(name, value);
    if (expected !== undefined) {
      throw new UsageError(`${label} must be ${expected}; got ${value}`, { parameter: name });
    }
  };
}
