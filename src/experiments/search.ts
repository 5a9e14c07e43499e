/**
 * The search for a learning rate: every method tries the same number of rates on the first seed, each with the same
 * passes over a batch, and goes on with the best of them.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { readConfigurationFile } from '../model/load.ts';
import { parameterShapes } from '../model/parameters.ts';
import { defaultsOf, resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { methods, type OptimizerName } from '../settings/methods.ts';
import type { SchemeName } from '../settings/schemes.ts';
import { probePoints } from '../zo/probe-points.ts';
import type { Cell, Finished } from './experiment.ts';

/** What a method's own learning rate is multiplied with. */
export const rateGrid = [1 / 4, 1, 4];

/** Below so many parameters a model stands higher rates than the published ones, those of Adam excepted. */
const smallModel = 50_000_000;
const smallModelFactor = 50;

/** Whether a model's rates are far above the published ones (docs/method.md, "Choosing the learning rate"). */
export async function isSmallModel(model: string): Promise<boolean> {
  const shapes = parameterShapes(await readConfigurationFile(model));
  const count = shapes.reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1), 0);
  return count < smallModel;
}

/** The rate in the middle of a method's grid: its default, which is the published one, or that of small models. */
export function centreRate(optimizer: OptimizerName, scheme: SchemeName, small: boolean): number {
  const { learningRate } = defaultsOf(optimizer, scheme);
  const factor = small && methods[optimizer].family !== 'factored-adam' ? smallModelFactor : 1;
  return Number((learningRate * factor).toPrecision(3));
}

/** Steps that take no more than so many passes over a batch, one at least. */
export function stepsOfPasses(settings: Partial<TrainConfiguration>, passes: number): number {
  return Math.max(1, Math.floor(passes / probePoints(resolveConfiguration(settings)).length));
}

/**
 * The cells of one method: its searches on the first seed, and when these are finished the best of them on all others.
 * @param cellOf the method's cell of a rate and a seed
 * @param better judges finished searches; a run that failed is NaN
 */
export function searchCells<R>(
  finished: readonly Finished<R>[],
  { rates, seeds }: { rates: readonly number[]; seeds: readonly number[] },
  cellOf: (learningRate: number, seed: number) => Cell,
  better: (result: R) => number,
): Cell[] {
  const searched = rates.map((rate) => cellOf(rate, seeds[0]!));
  const results = searched.map((cell) => resultOf(finished, cell));
  if (results.some((result) => result === undefined)) return searched;
  const best = rates[bestOf(results.map((result) => better(result!)))]!;
  return [...searched, ...seeds.slice(1).map((seed) => cellOf(best, seed))];
}

/** What a finished cell came to. */
export function resultOf<R>(finished: readonly Finished<R>[], cell: Cell): R | undefined {
  const keys = Object.keys(cell);
  return finished.find((each) => keys.every((key) => each.cell[key] === cell[key]))?.result;
}

/** The number of the highest value, the first of equal ones; NaN is the lowest. */
export function bestOf(values: readonly number[]): number {
  const known = values.map((value) => (Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value));
  return known.indexOf(Math.max(...known));
}

/** @throws SubzeroError `invalid_argument` for a name that is not known */
export function checkNames(parameter: string, given: readonly string[], known: readonly string[]): void {
  const wrong = given.find((name) => !known.includes(name));
  if (wrong === undefined) return;
  throw new SubzeroError('invalid_argument', `"${wrong}" is none of ${known.join(', ')}`, { parameter });
}
