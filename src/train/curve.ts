/**
 * The loss curve of a run as one SVG file: no scripts, no fonts, no other files, light or dark as the viewer likes it.
 * A run that is graded shows its reward in place of the loss, which is minus the reward with what scaling and anchor
 * add.
 *
 * @module
 */

import { type Line, noisyLines, panelShapes, stepAxis } from '../chart/panel.js';
import {
  formatTicks,
  formatValue,
  type Point,
  paddedRange,
  type Range,
  stepRange,
  withoutOutliers,
} from '../chart/scale.js';
import { escapeXml, pixel, type Shape, shorten, svgText, textShape, textWidth } from '../chart/shape.js';
import type { MetricsRecord } from './metrics.ts';

/** What is known of one step; values that are missing or not finite are left out of the chart. */
export interface CurvePoint {
  step: number;
  /** Loss of the step's batch. */
  loss?: number | null | undefined;
  /** Mean reward of the step's batch. */
  reward?: number | null | undefined;
  /** Loss on the validation data. */
  evaluationLoss?: number | null | undefined;
  /** Mean reward on the validation data. */
  evaluationReward?: number | null | undefined;
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

/**
 * Takes the points out of a run's metrics: loss and reward of its steps; loss, reward and accuracy of its evaluations.
 */
export function curvePoints(records: Iterable<MetricsRecord>): CurvePoint[] {
  const numeric = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
  const points: CurvePoint[] = [];
  for (const { type, step, loss, accuracy, measures } of records) {
    const reward = numeric((measures as Record<string, unknown> | null | undefined)?.reward);
    if (type === 'step') points.push({ step, loss: numeric(loss), reward });
    if (type === 'evaluation') {
      points.push({ step, evaluationLoss: numeric(loss), evaluationReward: reward, accuracy: numeric(accuracy) });
    }
  }
  return points;
}

/**
 * Draws training loss or reward (thin), its moving average (bold) and that of the evaluations (marks), and below them,
 * if there is one, the accuracy.
 * @param points in any order of kinds, steps ascending
 * @returns a complete SVG document
 */
export function lossCurveSvg(points: readonly CurvePoint[], options: CurveOptions = {}): string {
  const width = Math.max(options.width ?? 860, 360);
  const id = (options.id ?? 'subzero-curve').replace(/[^\w-]/g, '-');
  const title = options.title ?? 'Training';

  const rewards = { training: series(points, 'reward'), evaluation: series(points, 'evaluationReward') };
  const isReward = rewards.training.length + rewards.evaluation.length > 0;
  const losses = { training: series(points, 'loss'), evaluation: series(points, 'evaluationLoss') };
  const { training, evaluation } = isReward ? rewards : losses;
  const what = isReward ? 'reward' : 'loss';
  const accuracy = series(points, 'accuracy');

  const plot = { left: 66, width: width - 66 - 26 };
  const steps = stepRange([training, evaluation, accuracy]);
  const lines: Line[] = [
    ...noisyLines(training, plot.width, options.smoothing),
    { name: 'evaluation', points: evaluation, hasMarks: true },
  ];
  const isSmoothed = lines.length > 2;
  const last = lines.at(-2)!.points.at(-1);

  const legend = layOutLegend(
    [
      isSmoothed && { mark: lines[0]!.name, text: `training ${what}` },
      last !== undefined && {
        mark: 'bold',
        text: `${isSmoothed ? 'smoothed' : `training ${what}`}, last ${formatValue(last[1])}`,
      },
      evaluation.length > 0 && {
        ...{ mark: 'evaluation', isMarked: true },
        text: `evaluation ${what}, ${best(evaluation, isReward ? Math.max : Math.min, formatValue)}`,
      },
      accuracy.length > 0 && {
        ...{ mark: 'accuracy', isMarked: true },
        text: `accuracy, ${best(accuracy, Math.max, percent)}`,
      },
    ],
    plot.left,
    width - 26,
    options.subtitle === undefined ? 58 : 78,
  );

  const top = legend.bottom + 44;
  const values = paddedRange(lines.flatMap((line) => withoutOutliers(line.points.map(valueAt))));
  const body = panelShapes({
    ...{ name: what, ...plot, top, height: 300, steps, values, ticks: 6 },
    ...{ clip: `${id}-clip`, lines },
  });
  const bottoms = [top + 300];
  if (accuracy.length > 0) {
    const below = bottoms[0]! + 44;
    const [low, high] = paddedRange(accuracy.map(valueAt), 0.15);
    const range: Range = [Math.max(low, 0), Math.min(high, 1)];
    body.push(
      ...panelShapes({
        ...{ name: 'accuracy', ...plot, top: below, height: 130, steps, values: range, ticks: 5 },
        ...{ format: formatPercents, lines: [{ name: 'accuracy', points: accuracy, hasMarks: true }] },
      }),
    );
    bottoms.push(below + 130);
  }
  const bottom = bottoms.at(-1)!;
  const middle = plot.left + plot.width / 2;
  body.push(...stepAxis(steps, plot, bottoms, width), textShape('', middle, bottom + 42, 'step', 'middle'));
  if (training.length + evaluation.length + accuracy.length === 0) {
    body.push(textShape('empty', middle, top + 150, 'no data yet', 'middle'));
  }

  const height = bottom + 56;
  const room = width - plot.left - 26;
  const { subtitle } = options;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="subzero-curve" role="img" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}" aria-labelledby="${id}-title">`,
    `<title id="${id}-title">${escapeXml(title)}</title>`,
    `<style>${style}</style>`,
    `<rect class="paper" width="${width}" height="${height}" rx="8"/>`,
    ...[
      textShape('title', plot.left, 34, shorten(title, room, 18)),
      ...(subtitle === undefined ? [] : [textShape('subtitle', plot.left, 56, shorten(subtitle, room, 13))]),
      ...legend.shapes,
      ...body,
    ].map(svgText),
    '</svg>',
    '',
  ].join('\n');
}

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

const valueAt = ([, y]: Point): number => y;

function series(points: readonly CurvePoint[], name: Exclude<keyof CurvePoint, 'step'>): Point[] {
  const found: Point[] = [];
  for (const point of points) {
    const value = point[name];
    if (typeof value === 'number' && Number.isFinite(value)) found.push([point.step, value]);
  }
  return found;
}

interface LegendItem {
  /** Class of the line that it explains. */
  mark: string;
  /** Whether the points of the line are marked. */
  isMarked?: boolean;
  text: string;
}

/** Sets the items in a row and goes on in the next where the width ends. */
function layOutLegend(
  items: readonly (LegendItem | false)[],
  left: number,
  right: number,
  top: number,
): { shapes: Shape[]; bottom: number } {
  const shapes: Shape[] = [];
  let x = left;
  let y = top;
  for (const item of items) {
    if (item === false) continue;
    const width = 26 + textWidth(item.text, 12);
    if (x > left && x + width > right) {
      x = left;
      y += 20;
    }
    shapes.push({
      tag: 'polyline',
      attributes: { class: item.mark, points: `${pixel(x)},${y} ${pixel(x + 20)},${y}` },
    });
    if (item.isMarked) {
      shapes.push({ tag: 'circle', attributes: { class: item.mark, cx: pixel(x + 10), cy: y, r: 3.6 } });
    }
    shapes.push(textShape('', x + 26, y + 4, item.text));
    x += width + 22;
  }
  return { shapes, bottom: y };
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

const percent = (value: number): string => `${Number((value * 100).toFixed(1))} %`;

const formatPercents = (ticks: readonly number[]): string[] =>
  formatTicks(ticks.map((tick) => tick * 100)).map((label) => `${label} %`);
