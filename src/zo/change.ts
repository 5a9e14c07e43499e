/**
 * Where the change of a run goes: into the weights, or beside them where those cannot or shall not be written.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { methods, optimizersThat } from '../settings/methods.ts';
import { schemeNames, schemes } from '../settings/schemes.ts';
import type { Weight } from '../tensor/weight.ts';
import { isWritable } from '../weights/index.ts';
import { parameter, type Words, words } from '../words.ts';

/**
 * How an optimiser that folds periods keeps what they changed of the weights that train.
 * @throws SubzeroError `unsupported` or `invalid_argument` where the configuration does not fit the weights
 */
export function changeOf(configuration: TrainConfiguration, weights: Iterable<Weight>): 'fold' | 'bank' {
  const all = [...weights];
  const fixed = all.find(({ storage }) => !isWritable(storage));
  if (all.length === 0 || configuration.change === 'fold' || (configuration.change === 'auto' && !fixed)) {
    if (fixed && configuration.change === 'fold') {
      throw refused('change', words`${cannotBeWritten(fixed)}; use ${parameter('change')} bank`);
    }
    return 'fold';
  }
  return 'bank';
}

/**
 * Refuses to train weights that cannot be written by an optimiser that writes them at every step.
 * @throws SubzeroError `unsupported` that names what to use
 */
export function checkWritten({ optimizer }: TrainConfiguration, weights: Iterable<Weight>): void {
  if (methods[optimizer].family !== 'dense') return;
  const fixed = [...weights].find(({ storage }) => !isWritable(storage));
  if (!fixed) return;
  const factored = optimizersThat(({ family }) => family !== 'dense').join(' or ');
  const beside = schemeNames.filter((name) => schemes[name].adds !== undefined).join(', ');
  const others = words`${parameter('optimizer')} ${factored}, ${parameter('scheme')} ${beside}`;
  const ways = words`use ${others}, or ${parameter('storage')} f16`;
  throw refused(
    'optimizer',
    words`${optimizer} writes the weights at every step, and ${cannotBeWritten(fixed)}; ${ways}`,
  );
}

/** The configuration as the journal keeps it: what `auto` comes to over this model. */
export function exactConfiguration(configuration: TrainConfiguration, model: Model): TrainConfiguration {
  const { optimizer, scheme } = configuration;
  const own = schemes[scheme].adds === undefined && methods[optimizer].family !== 'dense';
  const fixed = [...model.weights.values()].some(({ storage }) => !isWritable(storage));
  const change = own && fixed && configuration.change === 'auto' ? 'bank' : configuration.change;
  return { ...configuration, storage: model.storage, change };
}

function cannotBeWritten({ name, storage }: Weight): string {
  return `${name} is stored as ${storage}, which cannot be written`;
}

function refused(setting: string, problem: Words): SubzeroError {
  return new SubzeroError('unsupported', problem, { parameter: setting });
}
