/**
 * The evaluation of a batch under all probes of a step: the part of a step before anything moves.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type ExampleLoss, type LossSums, meanOf, noLoss, sumLosses } from '../objectives/loss.ts';
import type { AppliedStep, Measurement, PlannedStep, ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { RecordedPass, Scorer } from './score.ts';
import { type Cuts, isCut, type ScoreStep, scoreParts, whole } from './shards.ts';

export interface StepEvaluation {
  /** By probe. */
  losses: number[];
  /** Mean over all probes. */
  loss: number;
  /** Mean over all probes; null for data without options. */
  accuracy: number | null;
  /** Scored tokens under one probe. */
  tokens: number;
  /** What is measured beside the loss, by name: means over all probes; absent where nothing is. */
  measures?: Record<string, number>;
  measured: Measurement;
  /** Whether every loss and every measured number is finite: the weights must not move along anything else. */
  finite: boolean;
}

/** What evaluates a step. */
export interface EvaluatedRun {
  gpu: Gpu;
  optimizer: ZerothOrderOptimizer;
  scorer: Scorer;
  /** What an example adds; the loss of its data by default. */
  lossOf?: ExampleLoss;
  /** Parts that are scored one by one; the whole step by default. */
  cuts?: Cuts;
  /** Who else scores the parts; this process by itself by default. */
  scoreStep?: ScoreStep;
}

/**
 * @param step zero-based; its factors are drawn if they are not yet
 * @param meanwhile called when the GPU has all of the work, if that is one pass
 */
export async function evaluateStep(
  run: EvaluatedRun,
  batch: readonly TokenizedExample[],
  step: number,
  meanwhile?: () => void,
): Promise<StepEvaluation> {
  const { gpu, optimizer, scorer, lossOf, cuts = whole, scoreStep } = run;
  if (optimizer.waits(step)) await optimizer.renew(step);
  // A step is long; text that is being generated meanwhile goes first.
  gpu.recorder.divide();
  optimizer.beginStep(step);
  if (scoreStep) return lookOf(optimizer, step, await scoreStep(step, batch));
  if (isCut(cuts)) return lookOf(optimizer, step, await scoreParts(run, batch, cuts, step));
  const scores = scorer.fitsOnePass(batch, optimizer)
    ? await scorer.read(scorer.record(batch, optimizer.perturb(step)), meanwhile)
    : await scorer.scoreStep(batch, optimizer, step);
  return lookOf(
    optimizer,
    step,
    scores.map((list) => sumLosses(batch, list, noLoss, lossOf)),
  );
}

/** An evaluation that is recorded, with the update before it, whose numbers are not known yet. */
export interface EvaluationAhead {
  /** Has both done. @param applied the update @param meanwhile as {@link evaluateStep} has it */
  send(applied: AppliedStep, meanwhile?: () => void): Promise<StepEvaluation>;
}

/**
 * Records the update of a step and the evaluation of the next one, while the GPU has all work of that step and is not
 * done with it. The optimiser takes both as done: this or nothing follows.
 * @param batch that of the next step
 * @returns `undefined`, with nothing recorded, where the evaluation is more than one pass or its step waits
 */
export function evaluateAhead(
  { gpu, optimizer, scorer, lossOf, cuts = whole, scoreStep }: EvaluatedRun,
  batch: readonly TokenizedExample[],
  update: PlannedStep,
): EvaluationAhead | undefined {
  const { step } = update;
  if (optimizer.waits(step + 1)) return undefined;
  if (scoreStep || isCut(cuts) || !scorer.fitsOnePass(batch, optimizer)) return undefined;
  let pass: RecordedPass;
  const work = gpu.recorder.ahead(() => {
    optimizer.updateAhead(update);
    optimizer.beginStep(step + 1);
    pass = scorer.record(batch, optimizer.perturb(step + 1));
  });
  return {
    async send(applied, meanwhile) {
      optimizer.supply(applied);
      gpu.recorder.resume(work);
      const scores = await scorer.read(pass, meanwhile);
      return lookOf(
        optimizer,
        step + 1,
        scores.map((list) => sumLosses(batch, list, noLoss, lossOf)),
      );
    },
  };
}

/** @param sums by probe */
function lookOf(optimizer: ZerothOrderOptimizer, step: number, sums: readonly LossSums[]): StepEvaluation {
  const probes = sums.map(meanOf);
  const losses = probes.map(({ loss }) => loss);
  const measured = optimizer.measure(losses, step);
  const loss = mean(losses);
  const accuracies = probes.map(({ accuracy }) => accuracy).filter((accuracy) => accuracy !== null);
  return {
    losses,
    loss,
    accuracy: accuracies.length === 0 ? null : mean(accuracies),
    tokens: probes[0]!.tokens,
    ...(probes[0]!.measures ? { measures: meansOver(probes.map(({ measures }) => measures!)) } : {}),
    measured,
    finite: [loss, ...Object.values(measured).flat()].every(Number.isFinite),
  };
}

/** The mean of each measure over probes, which have the same ones. */
function meansOver(measures: readonly Record<string, number>[]): Record<string, number> {
  return Object.fromEntries(Object.keys(measures[0]!).map((name) => [name, mean(measures.map((each) => each[name]!))]));
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
