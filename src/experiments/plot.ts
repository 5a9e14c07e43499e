/**
 * Lines over a quantity, with intervals, as one SVG file, light or dark as the viewer likes it.
 *
 * @module
 */

import { formatTicks, niceTicks, paddedRange, type Range } from '../chart/scale.js';
import { escapeXml, shorten, textWidth } from '../chart/shape.js';
import type { Summary } from './statistics.ts';

export interface PlotPoint {
  x: number;
  y: number;
  /** Half of an interval around y. */
  error?: number;
}

export interface Series {
  name: string;
  points: readonly PlotPoint[];
  /** Dashes and rings, through which a series at the same places is seen. */
  open?: boolean;
}

export interface Plot {
  title: string;
  xTitle: string;
  yTitle: string;
  /** Logarithmic axes take positive values only; others are left out, and so is what is no number. */
  xLogarithmic?: boolean;
  yLogarithmic?: boolean;
  /** Between which values y lies, such as shares; intervals end there. */
  yWithin?: Range;
  /** What x = 0, 1, 2 … stand for. Series are then dots beside each other, not lines. */
  names?: readonly string[];
  series: readonly Series[];
  /** Horizontal lines with a name. */
  marks?: readonly { y: number; name: string }[];
}

const [width, height] = [820, 460];
const [left, right, bottom] = [78, 28, 58];
const legendLine = 20;
/** Pixels of a text, and those between a dot of the legend and the next. */
const fontSize = 12;
const legendGap = 22;
/** Pixels between two numbers of an axis that can be told apart. */
const leastGap = 8;

/** How far the dots of two series lie apart, and those of all at most, as shares of the distance of two names. */
const dotsApart = 0.15;
const mostApart = 0.5;

/** Pixels between the intervals of two lines, and between those of all at most. */
const barsApart = 4;
const mostBarsApart = 16;

/** A mean at a place, with its interval where there is one. */
export function pointOf(x: number, { mean: y, halfWidth95: error }: Pick<Summary, 'mean' | 'halfWidth95'>): PlotPoint {
  return { x, y, ...(Number.isNaN(error) ? {} : { error }) };
}

/** Draws a plot. @returns a complete SVG document */
export function plotSvg(plot: Plot): string {
  const { names, marks = [], yWithin: [lowest, highest] = [-Infinity, Infinity] } = plot;
  const shown = plot.series.map((each) => ({ ...each, points: each.points.filter((point) => hasPlace(plot, point)) }));
  const series = names ? shown.map(besideOthers) : shown;
  const points = series.flatMap((each) => each.points);
  const xs = points.map(({ x }) => x);
  const barOf = (value: number, error: number): Range => [
    Math.max(lowest, value - error),
    Math.min(highest, value + error),
  ];
  const ys = [...points.flatMap(({ y, error = 0 }) => barOf(y, error)), ...marks.map(({ y }) => y)];
  const columns = legendColumns(series.map(({ name }) => name));
  const top = 52 + legendLine * Math.ceil(series.length / columns);
  const across: Range = [left + 12, width - right - 12];
  const x = names ? namedAxis(names, across) : axis(xs, across, plot.xLogarithmic ?? false, 8);
  const y = axis(ys, [height - bottom, top], plot.yLogarithmic ?? false, 6);
  // Intervals of lines at the same x would cover each other.
  const barred = series.filter((each) => each.points.some(({ error }) => error !== undefined)).length;
  const step = names || barred < 2 ? 0 : Math.min(barsApart, mostBarsApart / (series.length - 1));
  const asideOf = (place: string, index: number): string =>
    step === 0 ? place : (Number(place) + step * (index - (series.length - 1) / 2)).toFixed(1);
  const grid = [
    ...x.ticks.map(({ at, text }) => [
      `<line class="grid" x1="${at}" x2="${at}" y1="${top}" y2="${height - bottom}"/>`,
      ...(text === '' ? [] : [`<text x="${at}" y="${height - bottom + 18}" text-anchor="middle">${text}</text>`]),
    ]),
    ...y.ticks.map(({ at, text }) => [
      `<line class="grid" x1="${left}" x2="${width - right}" y1="${at}" y2="${at}"/>`,
      ...(text === '' ? [] : [`<text x="${left - 8}" y="${Number(at) + 4}" text-anchor="end">${text}</text>`]),
    ]),
  ].flat();
  const lines = series.flatMap(({ name, points: own, open = false }, index) => {
    const color = `c${index % colors.length}`;
    const placed = own.map((point) => ({ px: asideOf(x.place(point.x), index), py: y.place(point.y), ...point }));
    const [column, row] = [index % columns, Math.floor(index / columns)];
    const columnWidth = (width - left - right) / columns;
    const legendX = left + column * columnWidth;
    const legendY = 50 + row * legendLine;
    const dotAt = (px: number | string, py: number | string): string =>
      `<circle class="${open ? 'ring' : 'dot'} ${color}" cx="${px}" cy="${py}" r="${open ? 6 : 4}"/>`;
    const line = `line ${open ? 'dashed ' : ''}${color}`;
    return [
      ...(names ? [] : [`<polyline class="${line}" points="${placed.map(({ px, py }) => `${px},${py}`).join(' ')}"/>`]),
      ...placed.flatMap(({ px, y: value, error }) => {
        if (error === undefined || !Number.isFinite(error)) return [];
        const [low, high] = barOf(value, error).map(y.place);
        return [`<line class="bar ${color}" x1="${px}" x2="${px}" y1="${low}" y2="${high}"/>`];
      }),
      ...placed.map(({ px, py }) => dotAt(px, py)),
      dotAt(legendX + 6, legendY),
      `<text x="${legendX + 16}" y="${legendY + 4}">${escapeXml(shorten(name, columnWidth - 16, fontSize))}</text>`,
    ];
  });
  const named = marks.flatMap(({ y: value, name }) => [
    `<line class="mark" x1="${left}" x2="${width - right}" y1="${y.place(value)}" y2="${y.place(value)}"/>`,
    `<text class="small" x="${width - right - 4}" y="${Number(y.place(value)) - 5}" ` +
      `text-anchor="end">${escapeXml(name)}</text>`,
  ]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="subzero-plot" role="img" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}">`,
    `<title>${escapeXml(plot.title)}</title>`,
    `<style>${style}</style>`,
    `<rect class="paper" width="${width}" height="${height}" rx="8"/>`,
    `<text class="title" x="${left}" y="28">${escapeXml(plot.title)}</text>`,
    ...grid,
    ...named,
    ...lines,
    `<text x="${(left + width - right) / 2}" y="${height - 16}" text-anchor="middle">${escapeXml(plot.xTitle)}</text>`,
    ...(barred > 0
      ? [`<text class="small" x="${width - right}" y="${height - 16}" text-anchor="end">bars: 95 % intervals</text>`]
      : []),
    `<text transform="translate(18 ${(top + height - bottom) / 2}) rotate(-90)" ` +
      `text-anchor="middle">${escapeXml(plot.yTitle)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

/** Whether a point can be drawn: those of runs that failed are no numbers, and logarithmic axes have no 0. */
function hasPlace({ xLogarithmic, yLogarithmic }: Plot, { x, y }: PlotPoint): boolean {
  return Number.isFinite(x) && Number.isFinite(y) && !(xLogarithmic && x <= 0) && !(yLogarithmic && y <= 0);
}

/** The number of columns, three at most, that leaves room for the longest name. */
function legendColumns(names: readonly string[]): number {
  const widest = Math.max(0, ...names.map((name) => textWidth(name, fontSize))) + legendGap;
  return Math.min(3, Math.max(1, Math.floor((width - left - right) / widest)));
}

/** The points of a series a little to the side, so that those of others do not cover them. */
function besideOthers(series: Series, index: number, { length }: Plot['series']): Series {
  const apart = Math.min(dotsApart, mostApart / Math.max(1, length - 1));
  const aside = apart * (index - (length - 1) / 2);
  return { ...series, points: series.points.map((point) => ({ ...point, x: point.x + aside })) };
}

/** An axis of equal parts, one for each name. */
function namedAxis(names: readonly string[], [from, to]: Range) {
  const place = (value: number): string => (from + ((value + 0.5) / names.length) * (to - from)).toFixed(1);
  const room = (to - from) / names.length - leastGap;
  return {
    place,
    ticks: names.map((name, index) => ({ at: place(index), text: escapeXml(shorten(name, room, fontSize)) })),
  };
}

/** Values of a logarithmic axis that are all marked. */
const fewValues = 8;

/** Places values on the screen, and marks some. */
function axis(values: readonly number[], [from, to]: Range, logarithmic: boolean, count: number) {
  const usable = values.filter((value) => Number.isFinite(value) && (!logarithmic || value > 0));
  const of = logarithmic ? Math.log10 : (value: number): number => value;
  const range = paddedRange(usable.map(of), 0.05);
  // An interval that reaches below all powers of ten ends with the axis.
  const placeOf = (value: number): number => (logarithmic && value <= 0 ? range[0] : of(value));
  const place = (value: number): string =>
    (from + ((placeOf(value) - range[0]) / (range[1] - range[0])) * (to - from)).toFixed(1);
  const distinct = [...new Set(usable)];
  // A few values, such as ranks, say more than powers of ten between them.
  const few = logarithmic && distinct.length <= fewValues ? distinct : undefined;
  // Between whole numbers, such as steps and ranks, there is nothing.
  const isWhole = usable.every(Number.isInteger);
  const even = niceTicks(range, count).filter((value) => !isWhole || Math.abs(value - Math.round(value)) < 1e-9);
  const marked = few ?? (logarithmic ? powers(range) : even);
  const texts = logarithmic ? marked.map((value) => String(Number(value.toPrecision(3)))) : formatTicks(marked);
  const ticks = marked.map((value, index) => ({ at: place(value), text: texts[index]! }));
  return { place, ticks: few ? withoutOverlaps(ticks, from < to) : ticks };
}

interface Tick {
  at: string;
  text: string;
}

/** Leaves the text of a value out where it would run into the one before. */
function withoutOverlaps(ticks: readonly Tick[], lyingSideBySide: boolean): Tick[] {
  const sizeOf = ({ text }: Tick): number => (lyingSideBySide ? textWidth(text, fontSize) : fontSize);
  let last: Tick | undefined;
  return ticks
    .toSorted((a, b) => Number(a.at) - Number(b.at))
    .map((tick) => {
      const least = last ? (sizeOf(last) + sizeOf(tick)) / 2 + (lyingSideBySide ? leastGap : 0) : 0;
      if (last && Number(tick.at) - Number(last.at) < least) return { ...tick, text: '' };
      last = tick;
      return tick;
    });
}

/** Powers of ten inside of a range of exponents, with 2 and 5 times these where they are few. */
function powers([low, high]: Range): number[] {
  const factors = high - low > 3 ? [1] : [1, 2, 5];
  const marks: number[] = [];
  for (let exponent = Math.floor(low); exponent <= high; exponent++) {
    for (const factor of factors) {
      const value = factor * 10 ** exponent;
      if (Math.log10(value) >= low - 1e-9 && Math.log10(value) <= high + 1e-9) marks.push(value);
    }
  }
  return marks;
}

const colors = [
  ['#0969da', '#58a6ff'],
  ['#bc4c00', '#f0883e'],
  ['#1a7f37', '#3fb950'],
  ['#8250df', '#bc8cff'],
  ['#bf3989', '#f778ba'],
  ['#57606a', '#9da7b3'],
  ['#9a6700', '#d29922'],
  ['#0a7ea4', '#39c5cf'],
];

const colorRules = (theme: 0 | 1): string =>
  colors
    .map((pair, index) => `.c${index} { stroke: ${pair[theme]}; } .dot.c${index} { fill: ${pair[theme]}; }`)
    .join('\n');

const style = `
.subzero-plot text { fill: #57606a; font: 12px system-ui, sans-serif; }
.subzero-plot .small { font-size: 11px; }
.subzero-plot .title { fill: #1f2328; font-size: 16px; font-weight: 600; }
.subzero-plot .paper { fill: #ffffff; }
.subzero-plot .grid { stroke: #d0d7de; stroke-width: 1; }
.subzero-plot .mark { stroke: #57606a; stroke-dasharray: 5 4; }
.subzero-plot .line { fill: none; stroke-width: 2; }
.subzero-plot .bar { stroke-width: 1.5; }
.subzero-plot .dot { stroke: none; }
.subzero-plot .ring { fill: none; stroke-width: 2; }
.subzero-plot .dashed { stroke-dasharray: 7 5; }
${colorRules(0)}
@media (prefers-color-scheme: dark) {
.subzero-plot text { fill: #9da7b3; }
.subzero-plot .title { fill: #f0f3f6; }
.subzero-plot .paper { fill: #0d1117; }
.subzero-plot .grid { stroke: #30363d; }
.subzero-plot .mark { stroke: #9da7b3; }
${colorRules(1)}
}
`;
