/**
 * Adapters that a text is generated with, out of the loaded models.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { TextModel } from '../generate/row-adapters.ts';
import type { AdapterChoice } from '../generate/types.ts';
import type { LoadedModel } from './loaded-model.ts';
import type { LoadedModels } from './loaded-models.ts';

/**
 * What a text is made with: the adapter of the model itself, or those that a request chooses among the loaded ones.
 * @throws SubzeroError `invalid_argument` that names the adapter which cannot be had
 */
export function textModel(models: LoadedModels, loaded: LoadedModel, choices?: readonly AdapterChoice[]): TextModel {
  const own = loaded.adapter ? [{ adapter: loaded.adapter, weight: 1 }] : [];
  if (!choices) return { adapters: own, users: [loaded.unloading.signal] };
  const { information, model, optimizer } = loaded;
  const refuse = (problem: string): SubzeroError =>
    new SubzeroError('invalid_argument', problem, { parameter: 'adapters' });
  if (optimizer && choices.length > 0) {
    throw refuse(`"${information.id}" is a run, which has no adapters beside its own change`);
  }
  const names = choices.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw refuse(`the adapter "${twice}" is named twice`);
  const found = choices.map(({ name, weight = 1 }) => {
    const other = models.get(name);
    if (!Number.isFinite(weight)) throw refuse(`the weight of the adapter "${name}" must be a number; got ${weight}`);
    if (!other?.adapter) {
      const why = other ? 'is a model without an adapter of PEFT' : 'is not loaded';
      const known = models.onPlainWeights(model).flatMap(({ adapter, information: { id } }) => (adapter ? [id] : []));
      const list = known.length > 0 ? `those of "${information.id}" are ${known.join(', ')}` : 'there are none here';
      throw refuse(`the adapter "${name}" ${why}; ${list}`);
    }
    if (other.model !== model) {
      throw refuse(`the adapter "${name}" belongs to another base model than "${information.id}"`);
    }
    return { adapter: other.adapter, weight, name, signal: other.unloading.signal };
  });
  const used = found.filter(({ weight }) => weight !== 0);
  const whole = used.find(({ adapter, weight }) => adapter.hasGains && (used.length > 1 || weight !== 1));
  if (whole) {
    throw refuse(`the adapter "${whole.name}" is a DoRA, which can only be used alone and with the weight 1`);
  }
  return { adapters: used, users: [loaded.unloading.signal, ...used.map(({ signal }) => signal)] };
}
