/**
 * The options that say on which adapter a benchmark runs, and how.
 *
 * @module
 */

import { SubzeroError } from '../src/errors.ts';
import type { OpenDeviceOptions } from '../src/gpu/device.ts';

/** @throws SubzeroError `invalid_argument` for an arithmetic that there is not */
export function deviceOf({ adapter, arithmetic }: { adapter?: string; arithmetic?: string }): OpenDeviceOptions {
  if (arithmetic !== undefined && arithmetic !== 'exact' && arithmetic !== 'half') {
    throw new SubzeroError('invalid_argument', `--arithmetic must be exact or half; got "${arithmetic}"`);
  }
  return { ...(adapter === undefined ? {} : { adapter }), ...(arithmetic === undefined ? {} : { arithmetic }) };
}
