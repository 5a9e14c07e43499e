/**
 * Finished cells together: by what they have in common, and by their seeds.
 *
 * @module
 */

import type { Finished } from './experiment.ts';
import { score, type TrainedCell } from './train-cell.ts';

/** Cells by a name that is made of each. */
export function grouped<R>(
  finished: readonly Finished<R>[],
  nameOf: (cell: Finished<R>['cell']) => string,
): Map<string, Finished<R>[]> {
  const groups = new Map<string, Finished<R>[]>();
  for (const each of finished) {
    const name = nameOf(each.cell);
    groups.set(name, [...(groups.get(name) ?? []), each]);
  }
  return groups;
}

/** What cells reached. */
export function scores(finished: readonly Finished<TrainedCell>[]): number[] {
  return finished.map(({ result }) => score(result));
}

/** The values that are numbers, as those of failed runs are not. */
export function known(values: readonly number[]): number[] {
  return values.filter(Number.isFinite);
}

/** Says how many seeds there are, and how many of their runs failed. */
export function seedsText(finished: readonly Finished<{ failed: boolean }>[]): string {
  const failures = finished.filter(({ result }) => result.failed).length;
  return `${finished.length}${failures > 0 ? ` (${failures} failed)` : ''}`;
}

/** What `of` reached with the seeds of `like`, in the order of these; NaN where it lacks one. */
export function scoresOfSeeds(of: readonly Finished<TrainedCell>[], like: readonly Finished<TrainedCell>[]): number[] {
  return like.map(({ cell }) => {
    const partner = of.find((other) => other.cell.seed === cell.seed);
    return partner ? score(partner.result) : Number.NaN;
  });
}

/** The losses of the seeds of `like`, in the order of these; NaN where one is missing or failed. */
export function lossesOfSeeds(of: readonly Finished<TrainedCell>[], like = of): number[] {
  return like.map(({ cell }) => of.find((other) => other.cell.seed === cell.seed)?.result.loss ?? Number.NaN);
}
