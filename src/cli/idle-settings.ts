/**
 * Settings that were given but play no part in a run.
 *
 * @module
 */

import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { settingNames, settingOf } from '../settings/settings.ts';
import { parameter, type Words, words } from '../words.ts';

/**
 * Warnings about settings without effect, one for each: who gives a setting expects something of it.
 * @param given the settings that were given, without the defaults
 */
export function idleSettings(given: Partial<TrainConfiguration>): Words[] {
  const configuration = resolveConfiguration(given);
  const idle = settingNames.flatMap((name) => {
    const { appliesTo } = settingOf(name);
    if (!(name in given) || !appliesTo || appliesTo.holds(configuration)) return [];
    return [words`${parameter(name)} has no effect without ${appliesTo.without}`];
  });
  const { warmupSteps, steps } = configuration;
  if (warmupSteps >= steps) {
    const rise = words`${parameter('warmupSteps')} ${warmupSteps} of ${parameter('steps')} ${steps}`;
    idle.push(words`the learning rate never gets to its full value: ${rise}`);
  }
  return idle;
}
