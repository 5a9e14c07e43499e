/**
 * What the settings of training are called in requests.
 *
 * @module
 */

import { snakeCase } from '../src/format.ts';
import { isSetting, settingOf } from '../src/settings/settings.ts';

/** `evaluateEvery` → `evaluate_every`. Names of other parameters are in snake case, too. */
export function wireName(name: string): string {
  const own = isSetting(name) ? settingOf(name).requestName : undefined;
  return own ?? snakeCase(name);
}
