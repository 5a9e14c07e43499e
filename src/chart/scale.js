/**
 * Numbers of a chart: ticks that people like to read, ranges, smoothing and thinning.
 *
 * This folder is JavaScript, without a call to any system, because pages load it as it is.
 *
 * @module
 */

/** @typedef {readonly [x: number, y: number]} Point A point of a line in data units. */
/** @typedef {readonly [low: number, high: number]} Range From the lowest to the highest value shown. */
/** @typedef {(value: number) => number} Scale From a value to the pixel that stands for it. */

const factors = [1, 2, 2.5, 5, 10];

/**
 * Multiples of 1, 2, 2.5 or 5 times a power of ten inside a range.
 * @param {Range} range
 * @param {number} count about how many; the result has between half and twice as many
 * @param {number} [smallestStep] no finer than this (1 for whole numbers)
 * @returns {number[]}
 */
export function niceTicks([low, high], count, smallestStep = 0) {
  const rough = Math.max((high - low) / count, smallestStep);
  const power = 10 ** Math.floor(Math.log10(rough));
  const [factor] = [...factors].sort(
    (a, b) => Math.abs(Math.log((a * power) / rough)) - Math.abs(Math.log((b * power) / rough)),
  );
  const step = Math.max(factor === 2.5 && smallestStep > 0 ? 2 * power : factor * power, smallestStep);
  const ticks = [];
  const last = Math.floor(high / step + 1e-9);
  // Multiples and not sums, whose rounding errors would show as 0.30000000000000004.
  for (let multiple = Math.ceil(low / step - 1e-9); multiple <= last; multiple++) ticks.push(multiple * step);
  return ticks;
}

/**
 * Writes ticks with as many decimals as their distance needs, thousands separated.
 * @param {readonly number[]} ticks
 * @returns {string[]}
 */
export function formatTicks(ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : Math.abs(ticks[0] ?? 1);
  const largest = Math.max(...ticks.map(Math.abs), 0);
  if (largest >= 1e7 || (largest > 0 && largest < 1e-3)) {
    // The digits must tell each value from its neighbours.
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
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
    return fraction === undefined ? grouped : `${grouped}.${fraction}`;
  });
}

/**
 * Writes a value with four significant digits, as loss curves are compared in the third.
 * @param {number} value
 * @returns {string}
 */
export function formatValue(value) {
  return String(Number(value.toPrecision(4)));
}

/**
 * Lowest and highest value with some room; a range of no width is widened.
 * @param {readonly number[]} values
 * @param {number} [padding] part of the width that is added on either side
 * @returns {Range}
 */
export function paddedRange(values, padding = 0.06) {
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

/**
 * The values, without the lowest and highest hundredth if these would flatten the rest.
 * @param {readonly number[]} values
 * @returns {readonly number[]}
 */
export function withoutOutliers(values) {
  if (values.length < 100) return values;
  const sorted = [...values].sort((a, b) => a - b);
  const cut = Math.floor(sorted.length / 100);
  const inner = sorted.slice(cut, sorted.length - cut);
  const share = (inner[inner.length - 1] - inner[0]) / (sorted[sorted.length - 1] - sorted[0]);
  return share < outlierShare ? inner : values;
}

/**
 * The steps of several lines: from 0, unless all lie far from it, to the last.
 * @param {readonly (readonly Point[])[]} lines each with ascending steps
 * @returns {Range}
 */
export function stepRange(lines) {
  const steps = lines.flatMap((points) => (points.length === 0 ? [] : [points[0][0], points[points.length - 1][0]]));
  if (steps.length === 0) return [0, 1];
  const first = Math.min(...steps);
  const last = Math.max(...steps);
  const low = first > last / 3 && first < last ? first : 0;
  return [low, Math.max(last, low + 1)];
}

/**
 * Maps a range to pixels, evenly.
 * @param {Range} range
 * @param {number} from where the lowest value is
 * @param {number} to where the highest value is
 * @returns {Scale}
 */
export function linearScale([low, high], from, to) {
  return (value) => from + ((value - low) / (high - low)) * (to - from);
}

/**
 * Exponential moving average: the weight of a value falls to 1/e over `span` points. It starts from the mean of the
 * first `span` values, for a start from the first alone would show the noise of one batch as a spike.
 * @param {readonly Point[]} points
 * @param {number} span
 * @returns {Point[]}
 */
export function smooth(points, span) {
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
 * @param {readonly Point[]} points
 * @param {Range} range of x
 * @param {number} columns
 * @returns {Point[]}
 */
export function thin(points, [low, high], columns) {
  if (points.length <= 2 * columns) return [...points];
  /** @type {Point[]} */
  const thinned = [];
  /** @param {number} x */
  const columnOf = (x) => Math.floor(((x - low) / (high - low)) * columns);
  for (let start = 0; start < points.length; ) {
    const column = columnOf(points[start][0]);
    let lowest = start;
    let highest = start;
    let end = start;
    for (; end < points.length && columnOf(points[end][0]) === column; end++) {
      if (points[end][1] < points[lowest][1]) lowest = end;
      if (points[end][1] > points[highest][1]) highest = end;
    }
    thinned.push(points[Math.min(lowest, highest)]);
    if (lowest !== highest) thinned.push(points[Math.max(lowest, highest)]);
    start = end;
  }
  return thinned;
}
