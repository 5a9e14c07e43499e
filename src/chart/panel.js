/**
 * A panel of a chart: lines over steps between axes with round numbers. The file of a run and the page that follows it
 * draw the same panels; colours are theirs, by the classes `raw`, `sparse`, `bold`, `evaluation`, `accuracy`, `grid`,
 * `axis` and `panel`.
 *
 * @module
 */

import { formatTicks, linearScale, niceTicks, smooth, thin } from './scale.js';
import { lineShape, pixel, textShape, textWidth } from './shape.js';

/** @typedef {import('./scale.js').Point} Point */
/** @typedef {import('./scale.js').Range} Range */
/** @typedef {import('./scale.js').Scale} Scale */
/** @typedef {import('./shape.js').Shape} Shape */

/**
 * @typedef {object} Line
 * @property {string} name class
 * @property {readonly Point[]} points finite, steps ascending
 * @property {boolean} [hasMarks] whether its points are marked, as few and separate ones are
 */

/**
 * @typedef {object} Panel
 * @property {string} [name] stands above it
 * @property {number} left where the plot begins, right of the numbers of its axis; pixels, as all that follow
 * @property {number} top
 * @property {number} width
 * @property {number} height
 * @property {Range} steps
 * @property {Range} values
 * @property {number} ticks about how many values are marked
 * @property {(ticks: readonly number[]) => string[]} [format] how these are written; plainly by default
 * @property {string} [clip] id of a clip path; lines are cut off at the panel's edges if it is given
 * @property {readonly Line[]} lines
 */

/** Below this many points a moving average says nothing: the line itself is drawn bold. */
const fewPoints = 8;

/** Pixels of the numbers at the axes. */
const fontSize = 12;

/**
 * What a noisy series is drawn as: its values, thin, below their moving average, bold.
 * @param {readonly Point[]} points
 * @param {number} width pixels of the panel
 * @param {number} [span] points over which the weight of a value falls to 1/e; 1/25 of all by default
 * @returns {Line[]}
 */
export function noisyLines(points, width, span = points.length / 25) {
  if (points.length < fewPoints) return [{ name: 'bold', points, hasMarks: points.length === 1 }];
  // A line that crosses itself a thousand times needs less ink to be seen.
  const name = points.length > width / 2 ? 'raw' : 'raw sparse';
  return [
    { name, points },
    { name: 'bold', points: smooth(points, span) },
  ];
}

/**
 * Draws a panel without the numbers of its steps, for which see {@link stepAxis}.
 * @param {Panel} panel
 * @returns {Shape[]}
 */
export function panelShapes({ name, left, top, width, height, steps, values, ticks, format, clip, lines }) {
  const bottom = top + height;
  const x = linearScale(steps, left, left + width);
  const y = linearScale(values, bottom, top);
  const marked = niceTicks(values, ticks);
  const labels = (format ?? formatTicks)(marked);
  const drawn = lines
    .filter(({ points }) => points.length > 1)
    .map((line) => polyline(line.name, thin(line.points, steps, width), x, y));
  const [low, high] = values;
  return [
    ...(name === undefined ? [] : [textShape('panel', left, top - 10, name)]),
    ...marked.flatMap((tick, index) => [
      lineShape('grid', [left, y(tick)], [left + width, y(tick)]),
      textShape('', left - 9, y(tick) + 4, labels[index], 'end'),
    ]),
    lineShape('axis', [left, top], [left, bottom]),
    ...(clip === undefined
      ? drawn
      : [
          {
            tag: 'clipPath',
            attributes: { id: clip },
            children: [{ tag: 'rect', attributes: { x: left, y: top, width, height } }],
          },
          { tag: 'g', attributes: { 'clip-path': `url(#${clip})` }, children: drawn },
        ]),
    // Outside of the clip, so that a mark on the frame is drawn in full.
    ...lines
      .filter(({ hasMarks }) => hasMarks)
      .flatMap((line) =>
        marks(
          line.name,
          line.points.filter(([, value]) => value >= low && value <= high),
          x,
          y,
        ),
      ),
  ];
}

/**
 * The lower axis of every panel with small marks; the numbers of the steps stand below the last.
 * @param {Range} steps
 * @param {{left: number, width: number}} plot
 * @param {readonly number[]} bottoms of the panels, from above
 * @param {number} edge of the drawing, behind which no number reaches
 * @returns {Shape[]}
 */
export function stepAxis(steps, { left, width }, bottoms, edge) {
  const x = linearScale(steps, left, left + width);
  const ticks = niceTicks(steps, Math.max(3, Math.floor(width / 110)), 1);
  const labels = formatTicks(ticks);
  return [
    ...bottoms.flatMap((bottom) => [
      lineShape('axis', [left, bottom], [left + width, bottom]),
      ...ticks.map((tick) => lineShape('axis', [x(tick), bottom], [x(tick), bottom + 5])),
    ]),
    ...ticks.map((tick, index) => {
      const fits = x(tick) + textWidth(labels[index], fontSize) / 2 <= edge;
      return textShape('', x(tick), bottoms[bottoms.length - 1] + 20, labels[index], fits ? 'middle' : 'end');
    }),
  ];
}

/**
 * @param {string} name
 * @param {readonly Point[]} points
 * @param {Scale} x
 * @param {Scale} y
 * @returns {Shape}
 */
function polyline(name, points, x, y) {
  const places = points.map(([step, value]) => `${pixel(x(step))},${pixel(y(value))}`);
  return { tag: 'polyline', attributes: { class: name, points: places.join(' ') } };
}

/**
 * Circles, smaller when there are many; none when they would run into each other.
 * @param {string} name
 * @param {readonly Point[]} points
 * @param {Scale} x
 * @param {Scale} y
 * @returns {Shape[]}
 */
function marks(name, points, x, y) {
  if (points.length === 0) return [];
  const distance =
    points.length === 1 ? 100 : (x(points[points.length - 1][0]) - x(points[0][0])) / (points.length - 1);
  if (distance < 6) return [];
  const radius = distance < 14 ? 2.2 : 3.6;
  return points.map(([step, value]) => {
    return { tag: 'circle', attributes: { class: name, cx: pixel(x(step)), cy: pixel(y(value)), r: radius } };
  });
}
