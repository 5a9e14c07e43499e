/**
 * From a configuration to its optimiser, which alone is imported.
 *
 * @module
 */

import type { Model } from '../model/model.ts';
import type { DirectionKind } from '../ops/probes.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import type { OptimizerName } from '../settings/methods.ts';
import type { Adapter } from '../tuning/adapter.ts';
import { prepareTuning, type Tuning } from '../tuning/tuning.ts';
import { checkWritten } from './change.ts';
import type { ZerothOrderOptimizer } from './optimizer.ts';

type Maker = (model: Model, configuration: TrainConfiguration, tuning: Tuning) => Promise<ZerothOrderOptimizer>;

const subzero: Maker = async (...parts) => new (await import('./subzero.ts')).SubZero(...parts);

const mezo =
  (direction: DirectionKind): Maker =>
  async (...parts) =>
    await (await import('./mezo.ts')).Mezo.create(...parts, direction);

const makers: Readonly<Record<OptimizerName, Maker>> = {
  subzero,
  'subzero-plus': subzero,
  mezo: mezo('plain'),
  'sparse-mezo': mezo('masked'),
  hizoo: mezo('curved'),
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
  const tuning = await prepareTuning(model, configuration, start);
  checkWritten(configuration, tuning.weights.values());
  return await makers[configuration.optimizer](model, configuration, tuning);
}
