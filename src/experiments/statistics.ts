/**
 * Means of a few runs and how far they are to be trusted.
 *
 * @module
 */

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The middle value, the upper one of two; NaN of none. */
export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Standard error of the mean; NaN of a single value. */
function standardError(values: readonly number[]): number {
  const centre = mean(values);
  const variance = values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1);
  return Math.sqrt(variance / values.length);
}

/** 97.5 % points of Student's t distribution with 1, 2, … degrees of freedom. */
const studentPoints = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** The same for any number: beyond the table the first terms of its expansion at infinity, good to 3e-3. */
export function studentPoint(degreesOfFreedom: number): number {
  return studentPoints[degreesOfFreedom - 1] ?? 1.96 + 2.4 / degreesOfFreedom;
}

/**
 * A mean with its standard error and the half-width of its 95 % interval by Student's t; both NaN of a single value.
 */
export interface Summary {
  mean: number;
  standardError: number;
  halfWidth95: number;
}

export function summary(values: readonly number[]): Summary {
  const error = standardError(values);
  return { mean: mean(values), standardError: error, halfWidth95: studentPoint(values.length - 1) * error };
}

/** The median with the least and the most. */
export function spread(values: readonly number[], digits = 1): string {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)];
  return `${middle.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}

/** A mean with the half-width of its 95 % interval; the mean alone of a single value; a dash of none. */
export function interval({ mean, halfWidth95 }: Summary, digits = 4): string {
  if (Number.isNaN(mean)) return '–';
  return Number.isNaN(halfWidth95) ? mean.toFixed(digits) : `${mean.toFixed(digits)} ± ${halfWidth95.toFixed(digits)}`;
}

/**
 * The mean of the differences of pairs, with its 95 % interval by Student's t. Values that are not finite are left out
 * with their partners.
 */
export function pairedDifference(a: readonly number[], b: readonly number[]): Summary {
  const pairs = a.map((value, index) => value - b[index]!).filter(Number.isFinite);
  return summary(pairs);
}

/**
 * Probabilities of several comparisons, corrected after Holm (1979): below 0.05 are those that stand together at a
 * level of 5 %. One that is not known (NaN) stays so, and is not counted.
 */
export function holm(probabilities: readonly number[]): number[] {
  const known = probabilities.flatMap((value, index) => (Number.isNaN(value) ? [] : [index]));
  const order = known.toSorted((a, b) => probabilities[a]! - probabilities[b]!);
  const corrected = new Array<number>(probabilities.length).fill(Number.NaN);
  let least = 0;
  for (const [rank, index] of order.entries()) {
    least = Math.max(least, Math.min(1, (known.length - rank) * probabilities[index]!));
    corrected[index] = least;
  }
  return corrected;
}

/**
 * How likely values with mean 0 are to have a mean as far from 0, on both sides together: Student's test, in the closed
 * form for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4). NaN of a single value.
 */
export function studentProbability(values: readonly number[]): number {
  const { mean: centre, standardError: error } = summary(values);
  if (Number.isNaN(error)) return Number.NaN;
  if (error === 0) return centre === 0 ? 1 : 0;
  const freedom = values.length - 1;
  const angle = Math.atan(Math.abs(centre) / error / Math.sqrt(freedom));
  const square = Math.cos(angle) ** 2;
  const odd = freedom % 2 === 1;
  let [sum, term] = [0, odd ? Math.cos(angle) : 1];
  for (let k = odd ? 3 : 2; k <= freedom; k += 2) {
    sum += term;
    term *= (square * (k - 1)) / k;
  }
  return odd ? 1 - (2 / Math.PI) * (angle + Math.sin(angle) * sum) : 1 - Math.sin(angle) * sum;
}

/** The slope of the line of least squares. */
export function slope(xs: readonly number[], ys: readonly number[]): number {
  const [x, y] = [mean(xs), mean(ys)];
  const covariance = xs.reduce((sum, each, index) => sum + (each - x) * (ys[index]! - y), 0);
  return covariance / xs.reduce((sum, each) => sum + (each - x) ** 2, 0);
}
