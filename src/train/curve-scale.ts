/**
 * Numbers of a chart: ticks that people like to read, ranges, smoothing and thinning.
 *
 * @module
 */

/** A point of a line in data units. */
export type Point = readonly [x: number, y: number];

/** From the lowest to the highest value shown. */
export type Range = readonly [low: number, high: number];

const factors = [1, 2, 2.5, 5, 10];

/**
 * Multiples of 1, 2, 2.5 or 5 times a power of ten inside a range.
 * @param count about how many; the result has between half and twice as many
 * @param smallestStep no finer than this (1 for whole numbers)
 */
export function niceTicks([low, high]: Range, count: number, smallestStep = 0): number[] {
  const rough = Math.max((high - low) / count, smallestStep);
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = factors.toSorted(
    (a, b) => Math.abs(Math.log((a * power) / rough)) - Math.abs(Math.log((b * power) / rough)),
  )[0]!;
  const step = Math.max(factor === 2.5 && smallestStep > 0 ? 2 * power : factor * power, smallestStep);
  const ticks: number[] = [];
  const last = Math.floor(high / step + 1e-9);
  // Multiples and not sums, whose rounding errors would show as 0.30000000000000004.
  for (let multiple = Math.ceil(low / step - 1e-9); multiple <= last; multiple++) ticks.push(multiple * step);
  return ticks;
}

/** Writes ticks with as many decimals as their distance needs, thousands separated. */
export function formatTicks(ticks: readonly number[]): string[] {
  const step = ticks.length > 1 ? Math.abs(ticks[1]! - ticks[0]!) : Math.abs(ticks[0] ?? 1);
  const largest = Math.max(...ticks.map(Math.abs), 0);
  if (largest >= 1e7 || (largest > 0 && largest < 1e-3)) {
    // As many digits as tell each value from its neighbours.
    let digits = 2;
    while (digits < 12 && ticks.some((tick) => Math.abs(Number(tick.toExponential(digits)) - tick) > 1e-3 * step)) {
      digits++;
    }
    return ticks.map((tick) =>
      tick === 0
        ? '0'
        : tick
            .toExponential(digits)
            .replace(/(\.\d*?)0+e/, '$1e')
            .replace('.e', 'e')
            .replace('e+', 'e'),
    );
  }
  let decimals = 0;
  while (
    decimals < 8 &&
    Math.abs(Math.round(step * 10 ** decimals) - step * 10 ** decimals) > 1e-6 * step * 10 ** decimals
  ) {
    decimals++;
  }
  return ticks.map((tick) => {
    const [whole, fraction] = (Object.is(tick, -0) ? 0 : tick).toFixed(decimals).split('.');
    const grouped = whole!.replace(/\B(?=(\d{3})+$)/g, ',');
    return fraction === undefined ? grouped : `${grouped}.${fraction}`;
  });
}

/** Lowest and highest value with some room; a range of no width is widened. */
export function paddedRange(values: readonly number[], padding = 0.06): Range {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  const room = high - low > 1e-9 * Math.abs(high) ? (high - low) * padding : Math.max(Math.abs(high) * 0.1, 1e-6);
  return [low - room, high + room];
}

/** Where the range without the outermost hundredths is narrower than this part of the whole, these are outliers. */
const outlierShare = 0.5;

/** The values, without the lowest and highest hundredth if these would flatten the rest. */
export function withoutOutliers(values: readonly number[]): readonly number[] {
  if (values.length < 100) return values;
  const sorted = values.toSorted((a, b) => a - b);
  const cut = Math.floor(sorted.length / 100);
  const inner = sorted.slice(cut, sorted.length - cut);
  const share = (inner.at(-1)! - inner[0]!) / (sorted.at(-1)! - sorted[0]!);
  return share < outlierShare ? inner : values;
}

/**
 * Exponential moving average: the weight of a value falls to 1/e over `span` points. It starts from the mean of the
 * first `span` values, for a start from the first alone would show the noise of one batch as a spike.
 */
export function smooth(points: readonly Point[], span: number): Point[] {
  const keep = Math.exp(-1 / span);
  const first = points.slice(0, Math.max(1, Math.round(span)));
  let average = first.reduce((sum, [, y]) => sum + y, 0) / first.length;
  return points.map(([x, y]) => {
    average = average * keep + y * (1 - keep);
    return [x, average];
  });
}

/**
 * Thins a line to at most two points for each of `columns` columns, its lowest and highest, so that a line of any
 * length looks the same and stays small.
 */
export function thin(points: readonly Point[], [low, high]: Range, columns: number): Point[] {
  if (points.length <= 2 * columns) return [...points];
  const thinned: Point[] = [];
  const columnOf = (x: number) => Math.floor(((x - low) / (high - low)) * columns);
  for (let start = 0; start < points.length; ) {
    const column = columnOf(points[start]![0]);
    let lowest = start;
    let highest = start;
    let end = start;
    for (; end < points.length && columnOf(points[end]![0]) === column; end++) {
      if (points[end]![1] < points[lowest]![1]) lowest = end;
      if (points[end]![1] > points[highest]![1]) highest = end;
    }
    thinned.push(points[Math.min(lowest, highest)]!);
    if (lowest !== highest) thinned.push(points[Math.max(lowest, highest)]!);
    start = end;
  }
  return thinned;
}
