/**
 * A panel of `src/chart/` in a figure: as wide as its place, with a reading under the pointer or, with the chart
 * focused, under the arrow keys.
 *
 * @module
 */

import { noisyLines, panelShapes, stepAxis } from '../../src/chart/panel.js';
import { formatValue, linearScale, paddedRange, stepRange, withoutOutliers } from '../../src/chart/scale.js';
import { lineShape } from '../../src/chart/shape.js';
import { make } from './page.js';

/** @typedef {import('../../src/chart/scale.js').Point} Point */
/** @typedef {import('../../src/chart/scale.js').Range} Range */
/** @typedef {import('../../src/chart/panel.js').Line} Line */
/** @typedef {import('../../src/chart/shape.js').Shape} Shape */

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {'noisy' | 'plain' | 'evaluation'} kind a noisy series is read by its moving average
 * @property {readonly Point[]} points
 */

const height = 176;
const margin = { left: 54, right: 12, top: 10, bottom: 26 };

/**
 * Makes elements of a shape.
 * @param {Shape} shape
 * @returns {SVGElement}
 */
function draw({ tag, attributes, text, children = [] }) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...(text === undefined ? children.map(draw) : [text]));
  return element;
}

let charts = 0;

export class Chart {
  /** @type {Series[]} */
  #series = [];
  /** @type {number[] | undefined} */
  #steps;
  /** @type {number | undefined} */
  #cursor;
  #title;
  #bounds;
  #reading = make('output', {});
  #drawing = draw({ tag: 'svg', attributes: { class: 'chart', 'aria-hidden': 'true' } });
  #frame = 0;
  #width = 300;
  #clip = `chart-${charts++}`;

  /**
   * @param {string} title
   * @param {readonly number[]} [bounds] values that the axis always shows, without room beyond them
   */
  constructor(title, bounds = []) {
    this.#title = title;
    this.#bounds = bounds;
    this.element = make('figure', { tabindex: 0 }, make('figcaption', {}, make('strong', {}, title), this.#reading));
    this.element.append(this.#drawing);
    new ResizeObserver(([entry]) => {
      this.#width = Math.max(160, entry.contentRect.width);
      this.#schedule();
    }).observe(this.element);
    this.#drawing.addEventListener('pointermove', (event) => {
      const box = this.#drawing.getBoundingClientRect();
      this.#moveTo(this.#stepAt(event.clientX - box.left));
    });
    this.#drawing.addEventListener('pointerleave', () => this.#moveTo(undefined));
    this.element.addEventListener('blur', () => this.#moveTo(undefined));
    this.element.addEventListener('keydown', (event) => this.#onKey(event));
  }

  /** @param {Series[]} series */
  update(series) {
    this.#series = series;
    this.#steps = undefined;
    this.element.hidden = series.every(({ points }) => points.length === 0);
    this.#schedule();
  }

  #schedule() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const steps = this.#allSteps();
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === 'Escape') this.#moveTo(undefined);
    if (move === undefined || steps.length === 0) return;
    event.preventDefault();
    const at = this.#cursor === undefined ? steps.length : steps.indexOf(this.#cursor);
    this.#moveTo(steps[Math.min(steps.length - 1, Math.max(0, at + move))]);
  }

  /** @param {number | undefined} step */
  #moveTo(step) {
    this.#cursor = step;
    this.#schedule();
  }

  /** All steps that have a value, in order. */
  #allSteps() {
    const steps = (this.#steps ??= [
      ...new Set(this.#series.flatMap(({ points }) => points.map(([step]) => step))),
    ].sort((a, b) => a - b));
    return steps;
  }

  #plot() {
    return { left: margin.left, width: this.#width - margin.left - margin.right };
  }

  /** @returns {Range} */
  #stepRange() {
    return stepRange(this.#series.map(({ points }) => points));
  }

  /** @param {number} x */
  #stepAt(x) {
    const { left, width } = this.#plot();
    const wanted = linearScale([left, left + width], ...this.#stepRange())(x);
    /** @type {number | undefined} */
    let best;
    for (const step of this.#allSteps()) {
      if (best === undefined || Math.abs(step - wanted) < Math.abs(best - wanted)) best = step;
    }
    return best;
  }

  /**
   * What each series is drawn as.
   * @returns {Line[][]}
   */
  #lines() {
    return this.#series.map(({ kind, points }) => {
      if (kind === 'noisy') return noisyLines(points, this.#plot().width);
      return [kind === 'plain' ? { name: 'bold', points } : { name: 'evaluation', points, hasMarks: true }];
    });
  }

  /**
   * @param {readonly Line[]} lines
   * @returns {Range}
   */
  #valueRange(lines) {
    const values = lines.flatMap(({ points }) => withoutOutliers(points.map(([, value]) => value)));
    const all = [...values, ...this.#bounds];
    const [low, high] = paddedRange(all);
    /** @param {number} edge */
    const isBound = (edge) => this.#bounds.includes(edge);
    const least = all.reduce((a, b) => Math.min(a, b));
    const most = all.reduce((a, b) => Math.max(a, b));
    return least === most ? [low, high] : [isBound(least) ? least : low, isBound(most) ? most : high];
  }

  #draw() {
    const lines = this.#lines();
    if (lines.flat().every(({ points }) => points.length === 0)) return;
    const steps = this.#stepRange();
    const plot = this.#plot();
    const { top } = margin;
    const bottom = height - margin.bottom;
    const shapes = [
      ...panelShapes({
        ...{ ...plot, top, height: bottom - top, steps, values: this.#valueRange(lines.flat()), ticks: 4 },
        ...{ clip: this.#clip, lines: lines.flat() },
      }),
      ...stepAxis(steps, plot, [bottom], this.#width),
    ];
    if (this.#cursor !== undefined) {
      const at = linearScale(steps, plot.left, plot.left + plot.width)(this.#cursor);
      shapes.push(lineShape('cursor', [at, top], [at, bottom]));
    }
    this.#drawing.setAttribute('viewBox', `0 0 ${this.#width} ${height}`);
    this.#drawing.replaceChildren(...shapes.map(draw));
    this.#read(lines.map((parts) => parts[parts.length - 1].points));
  }

  /**
   * Puts the numbers at the cursor, or the latest ones, into words.
   * @param {(readonly Point[])[]} read the line of each series that is read
   */
  #read(read) {
    const cursor = this.#cursor;
    const readings = this.#series.flatMap(({ name, kind }, index) => {
      const points = read[index];
      if (points.length === 0) return [];
      const until = cursor === undefined ? points : points.filter(([step]) => step <= cursor);
      const last = until[until.length - 1];
      return [{ name, kind, text: last === undefined ? '–' : formatValue(last[1]) }];
    });
    this.#reading.replaceChildren(
      ...(cursor === undefined ? [] : [`step ${cursor.toLocaleString('en')}  `]),
      ...readings.map(({ name, kind, text }) =>
        make('span', { class: kind === 'evaluation' ? 'key second' : 'key' }, `${name} ${text}  `),
      ),
    );
    const words = readings.map(({ name, text }) => `${name} ${text}`).join(', ');
    const [, last] = this.#stepRange();
    this.element.setAttribute(
      'aria-label',
      `${this.#title} over ${last} steps; latest: ${words}. Arrow keys read values.`,
    );
  }
}
