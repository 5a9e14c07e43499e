/**
 * The loss curve of a run as one SVG file: no scripts, no fonts, no other files, light or dark as the viewer likes it.
 *
 * @module
 */

import {
  formatTicks,
  niceTicks,
  type Point,
  paddedRange,
  type Range,
  smooth,
  thin,
  withoutOutliers,
} from './curve-scale.ts';
import type { MetricsRecord } from './metrics.ts';

/** What is known of one step; values that are missing or not finite are left out of the chart. */
export interface CurvePoint {
  step: number;
  /** Loss of the step's batch. */
  loss?: number | null | undefined;
  /** Loss on the validation data. */
  evaluationLoss?: number | null | undefined;
  /** Share of right answers on the validation data, 0 to 1. */
  accuracy?: number | null | undefined;
}

export interface CurveOptions {
  /** `Training` by default. */
  title?: string;
  /** A line below the title, such as model, data and method. */
  subtitle?: string;
  /** Pixels; 860 by default, 360 at least. */
  width?: number;
  /** Points over which the weight of a loss falls to 1/e; 1/25 of all by default. */
  smoothing?: number;
  /** Makes the ids of the document unique when several charts stand in one page; `subzero-curve` by default. */
  id?: string;
}

/** Takes the points out of a run's metrics: `loss` of its steps, `loss` and `accuracy` of its evaluations. */
export function curvePoints(records: Iterable<MetricsRecord>): CurvePoint[] {
  const numeric = (value: unknown) => (typeof value === 'number' ? value : undefined);
  const points: CurvePoint[] = [];
  for (const { type, step, loss, accuracy } of records) {
    if (type === 'step') points.push({ step, loss: numeric(loss) });
    if (type === 'evaluation') points.push({ step, evaluationLoss: numeric(loss), accuracy: numeric(accuracy) });
  }
  return points;
}

/**
 * Draws training loss (thin), its moving average (bold) and evaluation loss (marks), and below them, if there is one,
 * the accuracy.
 * @param points in any order of kinds, steps ascending
 * @returns a complete SVG document
 */
export function lossCurveSvg(points: readonly CurvePoint[], options: CurveOptions = {}): string {
  const width = Math.max(options.width ?? 860, 360);
  const id = (options.id ?? 'subzero-curve').replace(/[^\w-]/g, '-');
  const title = options.title ?? 'Training';

  const raw = series(points, 'loss');
  const evaluation = series(points, 'evaluationLoss');
  const accuracy = series(points, 'accuracy');
  const bold = raw.length < fewPoints ? raw : smooth(raw, options.smoothing ?? raw.length / 25);

  const left = 66;
  const plotWidth = width - left - 26;
  const steps: Range = stepRange([raw, evaluation, accuracy]);
  const x = scale(steps, left, left + plotWidth);

  // A line that crosses itself a thousand times needs less ink to be seen.
  const rawName = raw.length > plotWidth / 2 ? 'raw' : 'raw sparse';

  const legend = layOutLegend(
    [
      raw.length >= fewPoints && { mark: rawName, text: 'training loss' },
      bold.length > 0 && {
        mark: 'bold',
        text: `${raw.length < fewPoints ? 'training loss' : 'smoothed'}, last ${decimal(bold.at(-1)![1])}`,
      },
      evaluation.length > 0 && { mark: 'evaluation', text: `evaluation loss, ${best(evaluation, Math.min, decimal)}` },
      accuracy.length > 0 && { mark: 'accuracy', text: `accuracy, ${best(accuracy, Math.max, percent)}` },
    ],
    left,
    width - 26,
    options.subtitle === undefined ? 58 : 78,
  );

  const lossTop = legend.bottom + 44;
  const lossBottom = lossTop + 300;
  const lossRange = paddedRange([raw, bold, evaluation].flatMap((points) => withoutOutliers(points.map(valueAt))));
  const y = scale(lossRange, lossBottom, lossTop);
  const body: string[] = [
    panel('loss', left, lossTop, plotWidth, lossBottom - lossTop, niceTicks(lossRange, 6), formatTicks, y),
    `<g clip-path="url(#${id}-clip)">`,
    raw.length >= fewPoints ? line(rawName, thin(raw, steps, plotWidth), x, y) : '',
    line('bold', thin(bold, steps, plotWidth), x, y),
    line('evaluation', evaluation, x, y),
    '</g>',
    // Outside of the clip, so that a mark on the frame is drawn in full.
    bold.length === 1 ? marks('bold', bold, x, y) : '',
    marks('evaluation', evaluation.filter(isInside(lossRange)), x, y),
  ];

  let bottom = lossBottom;
  if (accuracy.length > 0) {
    const top = lossBottom + 44;
    bottom = top + 130;
    const [low, high] = paddedRange(accuracy.map(valueAt), 0.15);
    const range: Range = [Math.max(low, 0), Math.min(high, 1)];
    const accuracyY = scale(range, bottom, top);
    body.push(
      panel('accuracy', left, top, plotWidth, bottom - top, niceTicks(range, 5), formatPercents, accuracyY),
      line('accuracy', accuracy, x, accuracyY),
      marks('accuracy', accuracy, x, accuracyY),
    );
  }
  const tops: [number, number][] = [[lossTop, lossBottom]];
  if (bottom !== lossBottom) tops.push([bottom - 130, bottom]);
  body.push(stepAxis(steps, x, tops, plotWidth));
  if (raw.length + evaluation.length + accuracy.length === 0) {
    body.push(text('empty', left + plotWidth / 2, (lossTop + lossBottom) / 2, 'no data yet', 'middle'));
  }

  const height = bottom + 56;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="subzero-curve" role="img" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}" aria-labelledby="${id}-title">`,
    `<title id="${id}-title">${escapeXml(title)}</title>`,
    `<style>${style}</style>`,
    `<clipPath id="${id}-clip"><rect x="${left}" y="${lossTop}" width="${plotWidth}" height="${lossBottom - lossTop}"/></clipPath>`,
    `<rect class="paper" width="${width}" height="${height}" rx="8"/>`,
    text('title', left, 34, shorten(title, width - left - 26, 18)),
    options.subtitle === undefined ? '' : text('subtitle', left, 56, shorten(options.subtitle, width - left - 26, 13)),
    legend.svg,
    ...body,
    '</svg>',
    '',
  ]
    .filter((part, index, all) => part !== '' || index === all.length - 1)
    .join('\n');
}

/** Below this many points a moving average says nothing: the line itself is drawn bold. */
const fewPoints = 8;

// Colours are told apart by people with any colour vision (blue, orange, green of different lightness), on both papers.
const style = `
.subzero-curve { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
.subzero-curve text { fill: #57606a; font-size: 12px; }
.subzero-curve .title { fill: #1f2328; font-size: 18px; font-weight: 600; }
.subzero-curve .subtitle { font-size: 13px; }
.subzero-curve .panel { fill: #1f2328; font-weight: 600; }
.subzero-curve .empty { font-size: 15px; }
.subzero-curve .paper { fill: #ffffff; }
.subzero-curve .grid { stroke: #e6e9ed; stroke-width: 1; }
.subzero-curve .axis { stroke: #8c959f; stroke-width: 1; }
.subzero-curve polyline { fill: none; stroke-linejoin: round; stroke-linecap: round; }
.subzero-curve .raw { stroke: #1f6feb; stroke-width: 1; stroke-opacity: 0.32; }
.subzero-curve .sparse { stroke-opacity: 0.55; }
.subzero-curve .bold { stroke: #1f6feb; stroke-width: 2.4; }
.subzero-curve .evaluation { stroke: #d4570a; stroke-width: 1.4; }
.subzero-curve .accuracy { stroke: #1a7f37; stroke-width: 1.8; }
.subzero-curve circle { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
.subzero-curve text { fill: #9da7b3; }
.subzero-curve .title, .subzero-curve .panel { fill: #f0f3f6; }
.subzero-curve .paper, .subzero-curve circle { fill: #0d1117; }
.subzero-curve .grid { stroke: #222a33; }
.subzero-curve .axis { stroke: #656d76; }
.subzero-curve .raw { stroke: #58a6ff; }
.subzero-curve .bold { stroke: #58a6ff; }
.subzero-curve .evaluation { stroke: #f0883e; }
.subzero-curve .accuracy { stroke: #3fb950; }
}
`;

type Scale = (value: number) => number;

const valueAt = ([, y]: Point): number => y;

const isInside =
  ([low, high]: Range) =>
  ([, y]: Point): boolean =>
    y >= low && y <= high;

function series(points: readonly CurvePoint[], name: 'loss' | 'evaluationLoss' | 'accuracy'): Point[] {
  const found: Point[] = [];
  for (const point of points) {
    const value = point[name];
    if (typeof value === 'number' && Number.isFinite(value)) found.push([point.step, value]);
  }
  return found;
}

/** From 0, unless all steps lie far from it, to the last. */
function stepRange(all: readonly (readonly Point[])[]): Range {
  const steps = all.flatMap((points) => (points.length === 0 ? [] : [points[0]![0], points.at(-1)![0]]));
  if (steps.length === 0) return [0, 1];
  const first = Math.min(...steps);
  const last = Math.max(...steps);
  const low = first > last / 3 && first < last ? first : 0;
  return [low, Math.max(last, low + 1)];
}

function scale([low, high]: Range, from: number, to: number): Scale {
  return (value) => from + ((value - low) / (high - low)) * (to - from);
}

/** A tenth of a pixel is finer than can be seen. */
const pixel = (value: number): string => String(Math.round(value * 10) / 10);

function line(name: string, points: readonly Point[], x: Scale, y: Scale): string {
  if (points.length < 2) return '';
  return `<polyline class="${name}" points="${points.map(([px, py]) => `${pixel(x(px))},${pixel(y(py))}`).join(' ')}"/>`;
}

/** Circles, smaller when there are many; none when they would run into each other. */
function marks(name: string, points: readonly Point[], x: Scale, y: Scale): string {
  if (points.length === 0) return '';
  const distance = points.length === 1 ? 100 : (x(points.at(-1)![0]) - x(points[0]![0])) / (points.length - 1);
  if (distance < 6) return '';
  const radius = distance < 14 ? 2.2 : 3.6;
  return points
    .map(([px, py]) => `<circle class="${name}" cx="${pixel(x(px))}" cy="${pixel(y(py))}" r="${radius}"/>`)
    .join('');
}

function text(name: string, x: number, y: number, content: string, anchor?: 'middle' | 'end'): string {
  const attributes = `${name === '' ? '' : ` class="${name}"`}${anchor === undefined ? '' : ` text-anchor="${anchor}"`}`;
  return `<text${attributes} x="${pixel(x)}" y="${pixel(y)}">${escapeXml(content)}</text>`;
}

/** Name, horizontal grid lines with their values, and the left axis of one panel. */
function panel(
  name: string,
  left: number,
  top: number,
  width: number,
  height: number,
  ticks: readonly number[],
  format: (ticks: readonly number[]) => string[],
  y: Scale,
): string {
  const labels = format(ticks);
  return [
    text('panel', left, top - 10, name),
    ...ticks.map(
      (tick, i) =>
        `<line class="grid" x1="${left}" x2="${left + width}" y1="${pixel(y(tick))}" y2="${pixel(y(tick))}"/>` +
        text('', left - 9, y(tick) + 4, labels[i]!, 'end'),
    ),
    `<line class="axis" x1="${left}" x2="${left}" y1="${top}" y2="${top + height}"/>`,
  ].join('\n');
}

/** The lower axis of every panel with small marks; the steps stand below the last. */
function stepAxis(steps: Range, x: Scale, panels: readonly (readonly [number, number])[], plotWidth: number): string {
  const ticks = niceTicks(steps, Math.max(3, Math.floor(plotWidth / 110)), 1);
  const labels = formatTicks(ticks);
  const bottom = panels.at(-1)![1];
  const axes = panels.map(([, end]) => {
    const ends = `<line class="axis" x1="${pixel(x(steps[0]))}" x2="${pixel(x(steps[1]))}" y1="${end}" y2="${end}"/>`;
    const tickMarks = ticks.map((tick) => {
      const at = pixel(x(tick));
      return `<line class="axis" x1="${at}" x2="${at}" y1="${end}" y2="${end + 5}"/>`;
    });
    return ends + tickMarks.join('');
  });
  return [
    ...axes,
    ...ticks.map((tick, i) => text('', x(tick), bottom + 20, labels[i]!, 'middle')),
    text('', (x(steps[0]) + x(steps[1])) / 2, bottom + 42, 'step', 'middle'),
  ].join('\n');
}

interface LegendItem {
  mark: 'raw' | 'raw sparse' | 'bold' | 'evaluation' | 'accuracy';
  text: string;
}

/** Sets the items in a row and goes on in the next where the width ends. */
function layOutLegend(
  items: readonly (LegendItem | false)[],
  left: number,
  right: number,
  top: number,
): { svg: string; bottom: number } {
  const parts: string[] = [];
  let x = left;
  let y = top;
  for (const item of items) {
    if (item === false) continue;
    const width = 26 + textWidth(item.text, 12);
    if (x > left && x + width > right) {
      x = left;
      y += 20;
    }
    parts.push(
      `<polyline class="${item.mark}" points="${pixel(x)},${y} ${pixel(x + 20)},${y}"/>`,
      item.mark === 'evaluation' || item.mark === 'accuracy'
        ? `<circle class="${item.mark}" cx="${pixel(x + 10)}" cy="${y}" r="3.6"/>`
        : '',
      text('', x + 26, y + 4, item.text),
    );
    x += width + 22;
  }
  return { svg: parts.filter((part) => part !== '').join('\n'), bottom: y };
}

/** An upper estimate in pixels: which font is used is known to the viewer alone. */
export function textWidth(content: string, fontSize: number): number {
  return content.length * fontSize * 0.58;
}

/** Ends a text with … where it is wider than so many pixels. */
export function shorten(content: string, width: number, fontSize: number): string {
  const characters = [...content];
  const most = Math.floor(width / (fontSize * 0.58));
  return characters.length <= most ? content : `${characters.slice(0, most - 1).join('')}…`;
}

function best(
  points: readonly Point[],
  choose: (...values: number[]) => number,
  format: (value: number) => string,
): string {
  const value = points.reduce((chosen, [, y]) => choose(chosen, y), points[0]![1]);
  const [step] = points.find(([, y]) => y === value)!;
  return `best ${format(value)} at ${formatTicks([step])[0]}`;
}

/** Four significant digits, as loss curves are compared in the third. */
const decimal = (value: number): string => String(Number(value.toPrecision(4)));

const percent = (value: number): string => `${Number((value * 100).toFixed(1))} %`;

const formatPercents = (ticks: readonly number[]): string[] =>
  formatTicks(ticks.map((tick) => tick * 100)).map((label) => `${label} %`);

/** XML has no place for control characters and halves of surrogate pairs, even escaped. */
export function escapeXml(content: string): string {
  return content
    .replace(/[\p{Cc}\p{Surrogate}\ufffe\uffff]/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
