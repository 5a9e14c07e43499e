/**
 * One look at a batch from all probes of a step: the part of a step before anything moves.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Measurement, ZerothOrderOptimizer } from '../zo/optimizer.ts';
import { batchLoss, type Scorer } from './score.ts';

export interface Look {
  /** By probe. */
  losses: number[];
  /** Mean over all probes. */
  loss: number;
  /** Mean over all probes; null for data without options. */
  accuracy: number | null;
  /** Scored tokens under one probe. */
  tokens: number;
  measured: Measurement;
  /** Whether all of it is: the weights must not move along anything else. */
  finite: boolean;
}

/** @param step zero-based; its factors are drawn if they are not yet */
export async function lookAt(
  { gpu, optimizer, scorer }: { gpu: Gpu; optimizer: ZerothOrderOptimizer; scorer: Scorer },
  batch: readonly TokenizedExample[],
  step: number,
): Promise<Look> {
  // A step is long; text that is being generated meanwhile goes first.
  gpu.recorder.divide();
  optimizer.beginStep(step);
  const probes = (await scorer.scoreStep(batch, optimizer, step)).map((scores) => batchLoss(batch, scores));
  const losses = probes.map(({ loss }) => loss);
  const measured = optimizer.measure(losses);
  const loss = mean(losses);
  const accuracies = probes.map(({ accuracy }) => accuracy).filter((accuracy) => accuracy !== null);
  return {
    losses,
    loss,
    accuracy: accuracies.length === 0 ? null : mean(accuracies),
    tokens: probes[0]!.tokens,
    measured,
    finite: [loss, ...measured.projectedGradients, ...(measured.curvatures ?? [])].every(Number.isFinite),
  };
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
