/**
 * Derivatives of the loss along the directions of a method, on the same examples and from the same point.
 *
 * @module
 */

import type { DataRow, StepProbe } from '../engine/types.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import type { Laboratory } from './experiment.ts';

/**
 * Steps of a run that moves nothing, until it has so many or is interrupted. HiZOO's curvature is kept as in training.
 * @param configuration its queries are the directions of a step, and its refresh decides how long a subspace is kept
 */
export async function* derivatives(
  { engine, signal }: Pick<Laboratory, 'engine' | 'signal'>,
  { model, configuration, rows }: { model: string; configuration: Partial<TrainConfiguration>; rows: DataRow[] },
  steps: number,
): AsyncGenerator<Pick<StepProbe, 'projectedGradients' | 'curvatures'>> {
  const id = 'derivatives';
  // The schedule decides nothing, as nothing moves.
  await engine.createRun({ id, model, configuration: { ...configuration, steps: 1_000_000 } });
  try {
    for (let step = 0; step < steps && !signal.aborted; step++) {
      const probe = await engine.probeRun(id, rows);
      yield probe;
      const { projectedGradients, curvatures } = probe;
      const still = { projectedGradients: projectedGradients.map(() => 0) };
      await engine.applyRun(id, curvatures ? { ...still, curvatures } : still);
    }
  } finally {
    await engine.unloadModel(id);
  }
}
