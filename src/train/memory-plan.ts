/**
 * How much GPU memory a run takes, and how large its passes may be for it to stay within a budget.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { Model } from '../model/model.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { parameter, words } from '../words.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import { type PassShape, passShape, type Scorer } from './score.ts';

/** Bytes of a run on the GPU, as they are from its first step on. */
export interface MemoryPlan {
  weightBytes: number;
  /** What the optimiser holds: U, V, S, 1-D parameters, their perturbed copies, moments. */
  factorBytes: number;
  activationBytes: number;
  /**
   * Inputs, logits of label rows, results on their way back, kernel parameters, the optimiser's pieces of perturbed
   * weights.
   */
  scratchBytes: number;
  totalBytes: number;
  /** Rows of a pass at most, all probes counted. */
  rows: number;
}

/**
 * Share of the memory beside weights and factors that the perturbed states of several probes may have; the rest is for
 * rows.
 */
const statesShare = 1 / 4;

/** Share of the same that dense methods may have for their pieces of perturbed weights. */
const scratchShare = 1 / 8;

/** Rows of a pass over validation data: enough to fill most adapters. */
const evaluationRows = 1024;

/**
 * Decides how many probes and rows a pass has and how large the pieces of perturbed weights are, and reserves them in
 * optimiser and scorer. Passes of any size give the same estimate.
 *
 * A pass is as large as a batch of the longest examples under all probes where the budget (`configuration.memory`)
 * allows it; what is accumulated comes in further passes.
 *
 * @throws SubzeroError `out_of_memory` if not even one probe of the largest example fits, naming the smallest budget
 *   that would do
 */
export function planMemory(run: {
  model: Model;
  optimizer: ZerothOrderOptimizer;
  scorer: Scorer;
  configuration: TrainConfiguration;
  examples: readonly TokenizedExample[];
  validation: readonly TokenizedExample[];
  /** The step that comes next, zero-based. */
  step: number;
}): MemoryPlan {
  const { model, optimizer, scorer, configuration, examples, validation } = run;
  const budget = configuration.memory;
  const training = passShape(examples);
  const shape = largerShape(training, passShape(validation));
  const leastRows = validation.length === 0 ? 0 : Math.max(evaluationRows, shape.largest);
  const probes = () => [optimizer.perturb(run.step, 0, 1), optimizer.current];
  const planOf = (rows: number): MemoryPlan => {
    const parts = {
      weightBytes: model.weightBytes,
      factorBytes: optimizer.factorBytes,
      activationBytes: scorer.activationBytesFor(rows, probes),
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
    optimizer.reserveScratch(spare * scratchShare);
  }
  const step = configuration.batchSize * training.largest * optimizer.probesAtOnce;
  const wanted = Math.min(scorer.maxRows, Math.max(step, leastRows));
  let rows = wanted;
  if (budget > 0 && planOf(wanted).totalBytes > budget) {
    // Bytes rise with the rows, on the whole: the most that fit lie between these.
    let above = wanted;
    rows = least;
    while (above - rows > 1) {
      const middle = Math.floor((rows + above) / 2);
      if (planOf(middle).totalBytes <= budget) rows = middle;
      else above = middle;
    }
  }
  const plan = planOf(rows);
  scorer.reserve(rows, shape);
  return plan;
}

function largerShape(a: PassShape, b: PassShape): PassShape {
  return {
    largest: Math.max(a.largest, b.largest),
    labelsPerRow: Math.max(a.labelsPerRow, b.labelsPerRow),
    targetsPerRow: Math.max(a.targetsPerRow, b.targetsPerRow),
  };
}

function tooSmall(plan: MemoryPlan, budget: number, rows: number): SubzeroError {
  const needs =
    `this run needs at least ${formatBytes(plan.totalBytes)} of GPU memory ` +
    `(weights ${formatBytes(plan.weightBytes)}, factors ${formatBytes(plan.factorBytes)}, ` +
    `activations of its largest example, ${rows} rows, ${formatBytes(plan.activationBytes)}, ` +
    `scratch ${formatBytes(plan.scratchBytes)})`;
  const least =
    `The smallest that would do is ${plan.totalBytes} bytes; 16-bit storage, a lower rank or shorter examples need ` +
    'less.';
  return new SubzeroError(
    'out_of_memory',
    words`${needs}; ${parameter('memory')} allows ${formatBytes(budget)}. ${least}`,
    { parameter: 'memory' },
  );
}
