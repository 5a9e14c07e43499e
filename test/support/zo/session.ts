/**
 * A model, its optimiser and its scorer, opened together and closed together.
 *
 * @module
 */

import type { Gpu } from '../../../src/gpu/gpu.ts';
import { Model } from '../../../src/model/model.ts';
import type { Storage } from '../../../src/tensor/weight.ts';
import { resolveConfiguration, type TrainConfiguration } from '../../../src/train/configuration.ts';
import { Scorer } from '../../../src/train/score.ts';
import { SubZero } from '../../../src/zo/subzero.ts';
import { modelDirectory } from './golden.ts';
import type { LiveRun } from './live.ts';

export interface Session extends LiveRun {
  model: Model;
}

/**
 * Runs `body` on a freshly loaded model: folds change the weights, so no two runs may share one.
 * @param settings.model directory name of a fixture, or an absolute path
 */
export async function withSession<T>(
  gpu: Gpu,
  settings: Partial<TrainConfiguration> & { model: string; storage?: Storage },
  body: (session: Session) => Promise<T>,
): Promise<T> {
  const { model: name, ...partial } = settings;
  const configuration = resolveConfiguration(partial);
  const directory = name.startsWith('/') ? name : modelDirectory(name);
  const model = await Model.load(gpu, directory, { storage: settings.storage ?? 'f32' });
  const subzero = new SubZero(model, configuration);
  const scorer = new Scorer(model, configuration.maxRows);
  try {
    return await body({ model, subzero, scorer, configuration });
  } finally {
    scorer.destroy();
    subzero.destroy();
    model.destroy();
  }
}
