/**
 * The options that say how rows are read; what they are to a run they are to evaluations and experiments.
 *
 * @module
 */

import { type ReadingSettings, readingSettings } from '../settings/settings.ts';
import type { CommandContext } from './command.ts';
import type { OptionSpecification } from './option.ts';
import { givenSettings, settingOption } from './setting-options.ts';

export const readingOptions: readonly OptionSpecification[] = readingSettings.map((name) => ({
  ...settingOption(name),
  group: 'Model and data',
}));

/** Only those that were given. */
export function givenReading(context: Pick<CommandContext<object>, 'options' | 'sources'>): Partial<ReadingSettings> {
  const given = Object.entries(givenSettings(context)).filter(([name]) =>
    readingSettings.some((other) => other === name),
  );
  return Object.fromEntries(given);
}
