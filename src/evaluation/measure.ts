/**
 * Metrics of outcomes with their intervals, of one model or of two on the same examples.
 *
 * @module
 */

import type { RowsKind } from '../data/rows-kind.ts';
import { SubzeroError } from '../errors.ts';
import { parameter, words } from '../words.ts';
import { bootstrap, interval95, pairedProbability } from './bootstrap.ts';
import { mcnemar } from './mcnemar.ts';
import { type Measure, type Metric, metricNames, metrics } from './metrics.ts';
import type { Outcome } from './outcome.ts';

/** A metric with the ends of its 95 % interval. */
export interface Measured {
  metric: string;
  value: number;
  interval: [low: number, high: number];
}

/** A metric of two models on the same examples. */
export interface Compared {
  metric: string;
  before: Measured;
  after: Measured;
  /** after − before. */
  difference: number;
  /** The ends of its 95 % interval, by a paired bootstrap. */
  interval: [low: number, high: number];
  /** How likely two models that are alike are to differ this much. */
  probability: number;
  test: 'exact McNemar' | 'paired bootstrap';
  /** Examples that only the second or only the first has right, for metrics of 0 and 1. */
  gained?: number;
  lost?: number;
}

/**
 * @param outcomes at least one
 * @throws SubzeroError `invalid_argument` for a metric that there is not, or that these outcomes have nothing for
 */
export function measure(outcomes: readonly Outcome[], names: readonly string[]): Measured[] {
  const measures = names.map((name) => measureOf(name, outcomes));
  const draws = bootstrap(
    outcomes.length,
    measures.map(({ of }) => of),
  );
  return names.map((metric, index) => measured(metric, measures[index]!, outcomes.length, draws[index]!));
}

/** @param before of one model, in the order of the other's @throws as {@link measure} */
export function compare(before: readonly Outcome[], after: readonly Outcome[], names: readonly string[]): Compared[] {
  checkSameRows(before, after);
  const size = before.length;
  const pairs = names.map((name) => [measureOf(name, before), measureOf(name, after)] as const);
  const draws = bootstrap(
    size,
    pairs.flatMap(([one, other]) => [one.of, other.of]),
  );
  return names.map((metric, index) => {
    const [one, other] = pairs[index]!;
    const [first, second] = [draws[2 * index]!, draws[2 * index + 1]!];
    const values = [measured(metric, one, size, first), measured(metric, other, size, second)] as const;
    const differences = second.map((value, draw) => value - first[draw]!);
    return {
      ...{ metric, before: values[0], after: values[1], difference: values[1].value - values[0].value },
      interval: interval95(differences),
      ...testOf(one, other, differences),
    };
  });
}

/** @throws SubzeroError `invalid_data` for outcomes of two models that belong to different rows */
export function checkSameRows(before: readonly Outcome[], after: readonly Outcome[]): void {
  if (before.length === after.length && before.every(({ source }, index) => source === after[index]!.source)) return;
  throw new SubzeroError(
    'invalid_data',
    `the two models were not evaluated on the same examples (${before.length} and ${after.length} of them): ` +
      'where texts are cut or left out depends on the length of a context; use data that fits both',
  );
}

function testOf(
  one: Measure,
  other: Measure,
  differences: readonly number[],
): Pick<Compared, 'probability' | 'test' | 'gained' | 'lost'> {
  const isBinary = ({ scores }: Measure): boolean => scores?.every((score) => score === 0 || score === 1) ?? false;
  if (!isBinary(one) || !isBinary(other)) {
    return { probability: pairedProbability(differences), test: 'paired bootstrap' };
  }
  const count = (from: number): number =>
    one.scores!.filter((score, index) => score === from && other.scores![index] !== from).length;
  const [gained, lost] = [count(0), count(1)];
  return { probability: mcnemar(gained, lost), test: 'exact McNemar', gained, lost };
}

function measured(metric: string, { of }: Measure, size: number, draws: readonly number[]): Measured {
  const all = Uint32Array.from({ length: size }, (_, index) => index);
  return { metric, value: of(all), interval: interval95(draws) };
}

/**
 * Checks that rows have what metrics need, as far as their kind says it, so that nothing is evaluated in vain.
 * @throws SubzeroError `invalid_argument` as {@link measure}
 */
export function checkMetrics(names: readonly string[], rows: RowsKind): void {
  for (const name of names) {
    const metric = metricOf(name);
    if (!metric.fits(rows)) throw lacking(name, metric.needs);
  }
}

function measureOf(name: string, outcomes: readonly Outcome[]): Measure {
  const metric = metricOf(name);
  const found = metric.measure(outcomes);
  if (found) return found;
  const { needs, option } = metric;
  if (option === undefined) throw lacking(name, needs);
  throw new SubzeroError(
    'invalid_argument',
    words`the metric ${name} needs ${needs}, which this evaluation has not; name one with ${parameter(option)}`,
    { parameter: 'metric' },
  );
}

function metricOf(name: string): Metric {
  const metric = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
  if (metric) return metric;
  throw new SubzeroError('invalid_argument', `there is no metric "${name}"; there are ${metricNames.join(', ')}`, {
    parameter: 'metric',
  });
}

function lacking(name: string, needs: string): SubzeroError {
  return new SubzeroError('invalid_argument', `the metric ${name} needs ${needs}, which these rows have not`, {
    parameter: 'metric',
  });
}
