/**
 * From a configuration to its optimiser.
 *
 * @module
 */

import type { Model } from '../model/model.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import type { OptimizerName } from '../settings/methods.ts';
import type { Adapter } from '../tuning/adapter.ts';
import { prepareTuning, type Tuning } from '../tuning/tuning.ts';
import { Mezo } from './mezo.ts';
import type { ZerothOrderOptimizer } from './optimizer.ts';
import { SubZero } from './subzero.ts';

type Maker = (model: Model, configuration: TrainConfiguration, tuning: Tuning) => Promise<ZerothOrderOptimizer>;

const subzero: Maker = async (model, configuration, tuning) => new SubZero(model, configuration, tuning);

const makers: Readonly<Record<OptimizerName, Maker>> = {
  subzero,
  'subzero-plus': subzero,
  mezo: (model, configuration, tuning) => Mezo.create(model, configuration, tuning, 'plain'),
  'sparse-mezo': (model, configuration, tuning) => Mezo.create(model, configuration, tuning, 'masked'),
  hizoo: (model, configuration, tuning) => Mezo.create(model, configuration, tuning, 'curved'),
};

/**
 * The optimiser of a configuration over a freshly loaded model, whose weights it will change.
 *
 * @param start what a scheme of pairs adds at the beginning, where that is not its own choice
 * @throws SubzeroError `invalid_argument` where the configuration does not fit the model
 */
export async function createOptimizer(
  model: Model,
  configuration: TrainConfiguration,
  start?: Adapter,
): Promise<ZerothOrderOptimizer> {
  return await makers[configuration.optimizer](model, configuration, await prepareTuning(model, configuration, start));
}
