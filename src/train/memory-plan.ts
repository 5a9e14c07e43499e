/**
 * How much GPU memory a run takes, and how large its passes may be for it to stay within a budget.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { Model } from '../model/model.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { PassShape, Scorer } from './score.ts';

/** Bytes of a run on the GPU, as they are from its first step on. */
export interface MemoryPlan {
  weightBytes: number;
  /** What the optimiser holds: U, V, S, 1-D parameters, their perturbed copies, moments. */
  factorBytes: number;
  activationBytes: number;
  /** Inputs, logits of label rows, results on their way back, kernel parameters, the optimiser's pieces of perturbed weights. */
  scratchBytes: number;
  totalBytes: number;
  /** Rows of a pass at most, all probes counted. */
  rows: number;
}

/** Share of the memory beside weights and factors that the perturbed states of several probes may have; the rest is for rows. */
const statesShare = 1 / 4;

/**
 * Decides how many probes and rows a pass has, and reserves them in optimiser and scorer. Passes of any size give the same estimate.
 *
 * @param run.rowsPerProbe rows of a pass that has them all under one probe
 * @param run.leastRows rows of the smallest useful pass over validation data, or 0
 * @param run.budget bytes; 0 = as much as the adapter has
 * @throws SubzeroError `out_of_memory` if not even one probe of the largest example fits, naming the smallest budget that would do
 */
export function planMemory(run: {
  model: Model;
  optimizer: ZerothOrderOptimizer;
  scorer: Scorer;
  shape: PassShape;
  step: number;
  rowsPerProbe: number;
  leastRows: number;
  budget: number;
}): MemoryPlan {
  const { model, optimizer, scorer, shape, budget } = run;
  const perRow = scorer.bytesPerRow(() => [optimizer.perturb(run.step, 0, 1), optimizer.current]);
  const planOf = (rows: number): MemoryPlan => {
    const parts = {
      weightBytes: model.weightBytes,
      factorBytes: optimizer.factorBytes,
      activationBytes: rows * perRow,
      scratchBytes: optimizer.scratchBytes + scorer.scratchBytesFor(rows, shape),
    };
    return { ...parts, totalBytes: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0), rows };
  };
  const least = Math.min(shape.largest, scorer.maxRows);
  if (budget > 0) {
    const smallest = planOf(least);
    if (smallest.totalBytes > budget) throw tooSmall(smallest, budget, shape.largest);
    const spare = budget - smallest.totalBytes;
    optimizer.reserveProbes(1 + Math.floor((spare * statesShare) / optimizer.probeBytes));
  }
  const wanted = Math.min(scorer.maxRows, Math.max(run.rowsPerProbe * optimizer.probesAtOnce, run.leastRows));
  let rows = wanted;
  if (budget > 0 && planOf(wanted).totalBytes > budget) {
    // Bytes rise with the rows: the most that fit lie between these.
    let above = wanted;
    rows = least;
    while (above - rows > 1) {
      const middle = Math.floor((rows + above) / 2);
      if (planOf(middle).totalBytes <= budget) rows = middle;
      else above = middle;
    }
  }
  scorer.reserve(rows, shape);
  return planOf(rows);
}

function tooSmall(plan: MemoryPlan, budget: number, rows: number): SubzeroError {
  return new SubzeroError(
    'out_of_memory',
    `this run needs at least ${formatBytes(plan.totalBytes)} of GPU memory (weights ${formatBytes(plan.weightBytes)}, ` +
      `factors ${formatBytes(plan.factorBytes)}, activations of its largest example, ${rows} rows, ` +
      `${formatBytes(plan.activationBytes)}, scratch ${formatBytes(plan.scratchBytes)}); memory allows ${formatBytes(budget)}. ` +
      `The smallest that would do is ${plan.totalBytes}; 16-bit storage, a lower rank or shorter examples need less.`,
    { parameter: 'memory' },
  );
}
