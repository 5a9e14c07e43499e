/**
 * A model, its optimiser and its scorer, opened together and closed together.
 *
 * @module
 */

import type { Gpu } from '../../../src/gpu/gpu.ts';
import { loadModel } from '../../../src/model/load.ts';
import type { Model } from '../../../src/model/model.ts';
import { resolveConfiguration, type TrainConfiguration } from '../../../src/settings/configuration.ts';
import { Scorer } from '../../../src/train/score.ts';
import type { StorageWish } from '../../../src/weights/index.ts';
import { createOptimizer } from '../../../src/zo/create-optimizer.ts';
import type { SubZero } from '../../../src/zo/subzero.ts';
import { modelDirectory } from './golden.ts';
import type { LiveRun } from './live.ts';

export interface Session extends LiveRun {
  model: Model;
}

/** What a session is made of. @property model directory name of a fixture, or an absolute path */
export type SessionSettings = Partial<TrainConfiguration> & { model: string; storage?: StorageWish };

export interface SubZeroSession extends Session {
  subzero: SubZero;
}

/** Runs `body` on a freshly loaded model: updates change the weights, so no two runs may share one. */
export async function withOptimizer<T>(
  gpu: Gpu,
  settings: SessionSettings,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  const { model: name, ...partial } = settings;
  const configuration = resolveConfiguration(partial);
  const directory = name.startsWith('/') ? name : modelDirectory(name);
  const model = await loadModel(gpu, directory, { storage: settings.storage ?? 'f32' });
  const optimizer = await createOptimizer(model, configuration);
  const scorer = new Scorer(model, configuration.maxRows);
  try {
    return await body({ model, optimizer, scorer, configuration });
  } finally {
    scorer.destroy();
    optimizer.destroy();
    model.destroy();
  }
}

/** {@link withOptimizer} of SubZero or SubZero+. */
export function withSession<T>(
  gpu: Gpu,
  settings: SessionSettings,
  body: (session: SubZeroSession) => Promise<T>,
): Promise<T> {
  return withOptimizer(gpu, settings, (session) => body({ ...session, subzero: session.optimizer as SubZero }));
}
