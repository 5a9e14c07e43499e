/**
 * From the adapters of a request to those that the engine generates with.
 *
 * @module
 */

import type { AdapterChoice } from '../../src/engine/types.ts';
import { invalid } from '../errors.ts';
import type { ModelRegistry } from '../models.ts';
import type { AdapterFields } from '../schemas/adapters.ts';

/**
 * The adapters of a request by their names; `undefined` where the model alone decides.
 * @param model the name that the request has
 * @throws ApiError 400 for a name or a number that is none, or both kinds at once
 */
export function adapterChoices(
  models: Pick<ModelRegistry, 'adapters' | 'scaled'>,
  model: string,
  { adapters, lora }: AdapterFields,
): AdapterChoice[] | undefined {
  if (adapters && lora) throw invalid('"adapters" and "lora" say the same; give one.', 'lora');
  if (!adapters && !lora) return models.scaled(model);
  const known = models.adapters();
  if (lora) {
    return lora.map(({ id, scale }, index) => {
      const found = known[id];
      if (found) return { name: found.name, weight: scale };
      const param = `lora.${index}.id`;
      throw invalid(`"${param}": there is no adapter ${id}. GET /lora-adapters lists them.`, param);
    });
  }
  return adapters!.map(({ name, weight }, index) => {
    if (known.some((adapter) => adapter.name === name)) return { name, weight: weight ?? 1 };
    const names = known.map((adapter) => adapter.name).join(', ');
    const which = names === '' ? 'this server has none' : `there are ${names}`;
    throw invalid(`"adapters.${index}.name": there is no adapter "${name}"; ${which}.`, `adapters.${index}.name`);
  });
}
