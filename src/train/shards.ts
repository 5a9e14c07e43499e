/**
 * Parts of a step's batch that are scored one by one. What a part adds to the losses is a function of the step, the
 * part and the weights alone, so any machine that has these may score it; the parts' sums are added in their order.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { add, type ExampleLoss, type LossSums, noLoss, sumLosses } from '../objectives/loss.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { Scorer } from './score.ts';

/**
 * Scores the batch of a step whose factors are drawn.
 * @returns the sums of all parts, by probe
 */
export type ScoreStep = (step: number, batch: readonly TokenizedExample[]) => Promise<LossSums[]>;

/** Who scores a part. */
export interface ShardScorer {
  optimizer: Pick<ZerothOrderOptimizer, 'probeCount' | 'probesAtOnce' | 'perturb'>;
  scorer: Pick<Scorer, 'scoreStep'>;
  /** What an example adds; the loss of its data by default. */
  lossOf?: ExampleLoss;
}

/** Cuts a batch into runs of examples, of as equal a length as can be and in order; none is empty. */
export function shardsOf<T>(batch: readonly T[], count: number): T[][] {
  const shards = Math.min(count, batch.length);
  const start = (shard: number): number => Math.floor((shard * batch.length) / shards);
  return Array.from({ length: shards }, (_, shard) => batch.slice(start(shard), start(shard + 1)));
}

/** The sums of one part, by probe. @param step zero-based; the weights are those before it */
export async function scoreShard(
  { optimizer, scorer, lossOf }: ShardScorer,
  shard: readonly TokenizedExample[],
  step: number,
): Promise<LossSums[]> {
  const scores = await scorer.scoreStep(shard, optimizer, step);
  return scores.map((list) => sumLosses(shard, list, noLoss, lossOf));
}

/** The sums of all parts, by probe. @param parts of each part by probe, in the order of the parts */
export function addShards(parts: readonly (readonly LossSums[])[]): LossSums[] {
  const [first, ...others] = parts;
  return others.reduce<LossSums[]>((sums, part) => sums.map((sum, probe) => add(sum, part[probe]!)), [...first!]);
}

/** Scores all parts, one after the other. */
export async function scoreShards(
  run: ShardScorer,
  batch: readonly TokenizedExample[],
  count: number,
  step: number,
): Promise<LossSums[]> {
  const parts: LossSums[][] = [];
  for (const shard of shardsOf(batch, count)) parts.push(await scoreShard(run, shard, step));
  return addShards(parts);
}
