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
  return (await parametersOf(model)) < smallModel;
}

/** Counts the parameters of a model by the shapes in its configuration. */
export async function parametersOf(model: string): Promise<number> {
  const shapes = parameterShapes(await readConfigurationFile(model));
  return shapes.reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1), 0);
}

/** The rate in the middle of a method's grid: its default, which is the published one, or that of small models. */
export function centreRate(optimizer: OptimizerName, scheme: SchemeName, small: boolean): number {
  const { learningRate } = defaultsOf(optimizer, scheme);
  const factor = small && methods[optimizer].family !== 'factored-adam' ? smallModelFactor : 1;
  return Number((learningRate * factor).toPrecision(3));
}

/**
 * Steps that take no more than so many passes over a batch.
 * @throws SubzeroError `invalid_argument` where a single step takes more
 */
export function stepsOfPasses(settings: Partial<TrainConfiguration>, passes: number): number {
  const configuration = resolveConfiguration(settings);
  const points = probePoints(configuration).length;
  if (points <= passes) return Math.floor(passes / points);
  throw new SubzeroError(
    'invalid_argument',
    `a step of ${configuration.optimizer} takes ${points} passes over a batch, and every method gets ${passes}; ` +
      `give at least ${Math.ceil(points / 2)} steps, or other optimisers`,
    { parameter: 'steps' },
  );
}

/** A method's search: the rates that it tries, and what a cell of it is called. */
export interface Search {
  rates: readonly number[];
  /** The first of them searches. */
  seeds: readonly number[];
  cellOf(learningRate: number, seed: number): Cell;
}

/**
 * The cells of one method: its searches on the first seed, and when these are finished the best of them on all others.
 * @param judge of a finished search, the higher the better; NaN of a run that failed
 */
export function searchCells<R>(finished: readonly Finished<R>[], search: Search, judge: (result: R) => number): Cell[] {
  const { rates, seeds, cellOf } = search;
  const searched = rates.map((rate) => cellOf(rate, seeds[0]!));
  const best = chosenRate(finished, search, judge);
  return best === undefined ? searched : [...searched, ...seeds.slice(1).map((seed) => cellOf(best, seed))];
}

/** The rate that a search ended with, the first of equal ones; undefined while it goes on. */
export function chosenRate<R>(
  finished: readonly Finished<R>[],
  { rates, seeds, cellOf }: Search,
  judge: (result: R) => number,
): number | undefined {
  const results = rates.map((rate) => resultOf(finished, cellOf(rate, seeds[0]!)));
  if (results.some((result) => result === undefined)) return undefined;
  return rates[bestOf(results.map((result) => judge(result!)))];
}

/** A method's search, as reports have it. */
export interface ReportedSearch {
  title: string;
  learningRate: number;
  /** All rates that were tried. */
  tried: readonly number[];
}

/** Methods that are named; the table beside the sentence has all. */
const mostNamed = 6;

/**
 * Which methods' best rate is the lowest or the highest that was tried, in a sentence: a rate beyond may be better.
 * @returns '' where all were searched around
 */
export function endsOfSearches(searches: readonly ReportedSearch[]): string {
  const ends = searches.filter(({ learningRate, tried }) => {
    const others = tried.filter((rate) => rate !== learningRate);
    const isEnd = others.every((rate) => rate > learningRate) || others.every((rate) => rate < learningRate);
    return others.length > 0 && isEnd;
  });
  if (ends.length === 0) return '';
  const names =
    ends.length > mostNamed
      ? `${ends.length} of ${searches.length} methods`
      : ends.map(({ title, learningRate }) => `${title} (${learningRate})`).join(', ');
  return `The best rate is at an end of those that were tried for ${names}: one beyond it may do better.`;
}

/** The result of a finished cell. */
function resultOf<R>(finished: readonly Finished<R>[], cell: Cell): R | undefined {
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
