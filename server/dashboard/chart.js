/**
 * A line chart as SVG: axes with round numbers, several series over steps, a reading under the pointer or, with the chart
 * focused, under the arrow keys.
 *
 * @module
 */

import { make } from './page.js';

/** @typedef {{step: number, value: number}} Point */
/** @typedef {{name: string, kind: 'raw' | 'train' | 'validation', points: Point[], dots?: boolean}} Series */

const namespace = 'http://www.w3.org/2000/svg';
const height = 176;
const margin = { left: 44, right: 10, top: 10, bottom: 22 };

/** More points than this are averaged in groups before they are drawn: a screen shows no more. */
const maxPoints = 400;

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
function draw(tag, attributes) {
  const element = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * Round numbers that divide an interval into about so many parts.
 * @param {number} low
 * @param {number} high
 * @param {number} parts
 * @returns {number[]}
 */
export function ticks(low, high, parts) {
  const raw = (high - low) / parts;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999) ?? raw;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/**
 * Averages neighbours so that at most so many points are left.
 * @param {Point[]} points
 * @param {number} [most]
 * @returns {Point[]}
 */
export function thin(points, most = maxPoints) {
  const size = Math.ceil(points.length / most);
  if (size <= 1) return points;
  const groups = [];
  for (let start = 0; start < points.length; start += size) {
    const group = points.slice(start, start + size);
    const mean = group.reduce((sum, { value }) => sum + value, 0) / group.length;
    groups.push({ step: group[group.length - 1].step, value: mean });
  }
  return groups;
}

/**
 * A moving average, exponential, over about a twentieth of the points.
 * @param {Point[]} points
 * @returns {Point[]}
 */
export function smooth(points) {
  const weight = 1 / Math.max(1, Math.min(100, points.length / 20));
  let mean = points[0]?.value ?? 0;
  return points.map(({ step, value }) => {
    mean += (value - mean) * weight;
    return { step, value: mean };
  });
}

/** @param {number} value */
function format(value) {
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

export class Chart {
  /** @type {Series[]} */
  #series = [];
  /** @type {number | undefined} */
  #cursor;
  #title;
  #range;
  #reading = make('output', {});
  #drawing = draw('svg', { class: 'chart', 'aria-hidden': 'true' });
  #frame = 0;
  #width = 300;

  /**
   * @param {string} title
   * @param {{low?: number, high?: number}} [range] bounds that the axis always shows
   */
  constructor(title, range = {}) {
    this.#title = title;
    this.#range = range;
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
    this.#series = series.map((one) => ({ ...one, points: thin(one.points) }));
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
    const steps = this.#steps();
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
  #steps() {
    const steps = new Set(this.#series.flatMap(({ points }) => points.map(({ step }) => step)));
    return [...steps].sort((a, b) => a - b);
  }

  /** @param {number} x */
  #stepAt(x) {
    const { left, right } = margin;
    const share = (x - left) / (this.#width - left - right);
    const [low, high] = this.#stepRange();
    const wanted = low + share * (high - low);
    /** @type {number | undefined} */
    let best;
    for (const step of this.#steps()) {
      if (best === undefined || Math.abs(step - wanted) < Math.abs(best - wanted)) best = step;
    }
    return best;
  }

  /** @returns {[number, number]} */
  #stepRange() {
    const steps = this.#steps();
    return [0, Math.max(5, steps[steps.length - 1] ?? 0)];
  }

  #draw() {
    const values = this.#series.flatMap(({ points }) => points.map(({ value }) => value)).filter(Number.isFinite);
    if (values.length === 0) return;
    let low = Math.min(...values, this.#range.low ?? Infinity);
    let high = Math.max(...values, this.#range.high ?? -Infinity);
    if (high - low < 1e-9 * Math.max(1, Math.abs(high))) {
      low -= 0.5;
      high += 0.5;
    }
    const [first, last] = this.#stepRange();
    const { left, right, top, bottom } = margin;
    /** @param {number} step */
    const x = (step) => left + ((step - first) / (last - first)) * (this.#width - left - right);
    /** @param {number} value */
    const y = (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom);
    const parts = [];
    for (const value of ticks(low, high, 4)) {
      parts.push(draw('line', { class: 'grid', x1: left, x2: this.#width - right, y1: y(value), y2: y(value) }));
      const label = draw('text', { x: left - 6, y: y(value) + 4, 'text-anchor': 'end' });
      label.textContent = format(value);
      parts.push(label);
    }
    for (const step of ticks(first, last, Math.max(2, Math.floor(this.#width / 90))).filter(Number.isInteger)) {
      const label = draw('text', { x: x(step), y: height - 6, 'text-anchor': step === last ? 'end' : 'middle' });
      label.textContent = step.toLocaleString('en');
      parts.push(label);
    }
    for (const { kind, points, dots } of this.#series) {
      const finite = points.filter(({ value }) => Number.isFinite(value));
      const path = finite.map(
        ({ step, value }, index) => `${index ? 'L' : 'M'}${x(step).toFixed(1)} ${y(value).toFixed(1)}`,
      );
      parts.push(draw('path', { class: kind, d: path.join('') }));
      if (dots) parts.push(...finite.map(({ step, value }) => draw('circle', { cx: x(step), cy: y(value), r: 3 })));
    }
    if (this.#cursor !== undefined) {
      const at = x(this.#cursor);
      parts.push(draw('line', { class: 'cursor', x1: at, x2: at, y1: top, y2: height - bottom }));
    }
    this.#drawing.setAttribute('viewBox', `0 0 ${this.#width} ${height}`);
    this.#drawing.replaceChildren(...parts);
    this.#read();
  }

  /** Puts the numbers at the cursor, or the latest ones, into words. */
  #read() {
    const cursor = this.#cursor;
    const named = this.#series.filter(({ name, points }) => name !== '' && points.length > 0);
    const readings = named.map(({ name, kind, points }) => {
      const until = cursor === undefined ? points : points.filter(({ step }) => step <= cursor);
      const value = until[until.length - 1]?.value;
      return { name, kind, text: value === undefined ? '–' : format(value) };
    });
    this.#reading.replaceChildren(
      ...(cursor === undefined ? [] : [`step ${cursor.toLocaleString('en')}  `]),
      ...readings.map(({ name, kind, text }) =>
        make('span', { class: kind === 'validation' ? 'key second' : 'key' }, `${name} ${text}  `),
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
