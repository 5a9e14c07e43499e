/**
 * Parts of a step that are scored one by one: some examples of its batch under some of its probes. What a part adds to
 * the losses is a function of the step, the part and the weights alone, so any machine that has these may score it; the
 * parts' sums are put together in their order.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { add, type ExampleLoss, type LossSums, noLoss, sumLosses } from '../objectives/loss.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { Scorer } from './score.ts';

/**
 * Scores the batch of a step whose factors are drawn.
 * @returns the sums of all parts, by probe
 */
export type ScoreStep = (step: number, batch: readonly TokenizedExample[]) => Promise<LossSums[]>;

/** Who scores a part. */
export interface PartScorer {
  optimizer: Pick<ZerothOrderOptimizer, 'probeCount' | 'probesAtOnce' | 'perturb'>;
  scorer: Pick<Scorer, 'scoreStep'>;
  /** What an example adds; the loss of its data by default. */
  lossOf?: ExampleLoss;
}

/** How many parts a step is cut into: of its examples, and of its probes. */
export type Cuts = Pick<TrainConfiguration, 'shards' | 'queryShards'>;

/** Consecutive probes of a step. */
export interface ProbeRange {
  first: number;
  count: number;
}

/** A part of a step. */
export interface Part<T> {
  /** Which of the runs of examples it has. */
  shard: number;
  examples: readonly T[];
  probes: ProbeRange;
}

/** A step that is scored whole. */
export const whole: Cuts = { shards: 1, queryShards: 1 };

export function isCut({ shards, queryShards }: Cuts): boolean {
  return shards > 1 || queryShards > 1;
}

/** Cuts a number of things into ranges, of as equal a length as can be and in order; none is empty. */
function rangesOf(length: number, parts: number): ProbeRange[] {
  const count = Math.min(parts, length);
  const start = (part: number): number => Math.floor((part * length) / count);
  return Array.from({ length: count }, (_, part) => ({ first: start(part), count: start(part + 1) - start(part) }));
}

/** Cuts a step into parts: each run of examples under one range of probes after the other. */
export function partsOf<T>(batch: readonly T[], { shards, queryShards }: Cuts, probeCount: number): Part<T>[] {
  const ranges = rangesOf(probeCount, queryShards);
  return rangesOf(batch.length, shards).flatMap(({ first, count }, shard) => {
    const examples = batch.slice(first, first + count);
    return ranges.map((probes) => ({ shard, examples, probes }));
  });
}

/** The sums of one part, by probe of its range. @param step zero-based; the weights are those before it */
export async function scorePart(
  { optimizer, scorer, lossOf }: PartScorer,
  { examples, probes }: Pick<Part<TokenizedExample>, 'examples' | 'probes'>,
  step: number,
): Promise<LossSums[]> {
  const { first, count } = probes;
  const source: PartScorer['optimizer'] = {
    probeCount: count,
    probesAtOnce: optimizer.probesAtOnce,
    perturb: (at, from = 0, some = count - from) => optimizer.perturb(at, first + from, some),
  };
  const scores = await scorer.scoreStep(examples, source, step);
  return scores.map((list) => sumLosses(examples, list, noLoss, lossOf));
}

/**
 * The sums of a step, by probe: those of its examples are added in their order.
 * @param sums of each part by probe, in the order of the parts
 */
export function addParts(
  parts: readonly Pick<Part<unknown>, 'probes'>[],
  sums: readonly (readonly LossSums[])[],
): LossSums[] {
  const whole: LossSums[] = [];
  for (const [index, { probes }] of parts.entries()) {
    for (const [at, each] of sums[index]!.entries()) {
      const probe = probes.first + at;
      const before = whole[probe];
      whole[probe] = before ? add(before, each) : each;
    }
  }
  return whole;
}

/** Scores all parts, one after the other. */
export async function scoreParts(
  run: PartScorer,
  batch: readonly TokenizedExample[],
  cuts: Cuts,
  step: number,
): Promise<LossSums[]> {
  const parts = partsOf(batch, cuts, run.optimizer.probeCount);
  const sums: LossSums[][] = [];
  for (const part of parts) sums.push(await scorePart(run, part, step));
  return addParts(parts, sums);
}
