/**
 * What the figures of two revisions, measured in turns, say.
 *
 * @module
 */

import { median } from '../../src/experiments/statistics.ts';
import { formatBytes } from '../../src/format.ts';
import { markdownTable } from '../../src/table.ts';

/** What a figure is: seconds of all processors, seconds by the clock, bytes, a number of launches. */
export type Kind = 'processor' | 'wall' | 'bytes' | 'dispatches';

/** Where the adapter's work shows: in processor time where the processors are the adapter, else by the clock. */
export type Clock = 'processor' | 'wall';

/** A figure, measured of both revisions in turns: values at the same place were taken one after the other. */
export interface Pairs {
  title: string;
  kind: Kind;
  /** `null` where a revision does not tell. */
  before: readonly (number | null)[];
  after: readonly (number | null)[];
}

const longest = 1.15;
const mostBytes = 1.01;

/** A difference of fewer seconds is that of the operating system's mood. */
const slackSeconds = 0.03;

export interface Row {
  title: string;
  kind: Kind;
  /** Medians; `null` where a revision does not tell. */
  before: number | null;
  after: number | null;
  /** Median of the pairs' own ratios, after to before, and the middle half of them. */
  ratio: number | null;
  range: readonly [number, number] | null;
  failed: boolean;
}

const known = (values: readonly (number | null)[]): values is readonly number[] => !values.includes(null);

/** The median, of an even number the mean of the two in the middle. */
function middle(values: readonly number[]): number {
  return (median(values) - median(values.map((value) => -value))) / 2;
}

/** The value below which a share of all lies, between two by linear interpolation. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (at - Math.floor(at)) * (sorted[Math.ceil(at)]! - low);
}

/**
 * Judges a figure. What disturbs the machine disturbs both halves of a pair, so ratios are those within pairs.
 * Disturbances only ever add time: what is slower by itself is so in its best moment too, hence the second condition
 * on times.
 * @param clock the one that decides; the other is shown
 */
export function compare({ title, kind, before, after }: Pairs, clock: Clock): Row {
  const row = {
    title,
    kind,
    before: known(before) ? middle(before) : null,
    after: known(after) ? middle(after) : null,
  };
  if (!known(before) || !known(after)) return { ...row, ratio: null, range: null, failed: false };
  const ratios = after.map((value, index) => value / before[index]!);
  const ratio = middle(ratios);
  const best = Math.min(...after) / Math.min(...before);
  const difference = middle(after.map((value, index) => value - before[index]!));
  const slower = ratio > longest && best > longest && difference > slackSeconds;
  const failed =
    kind === 'bytes' ? ratio > mostBytes : kind === 'dispatches' ? difference > 0 : kind === clock && slower;
  return { ...row, ratio, range: [quantile(ratios, 0.25), quantile(ratios, 0.75)], failed };
}

const units: Readonly<Record<Kind, string>> = {
  processor: 'processor time',
  wall: 'by the clock',
  bytes: 'peak bytes',
  dispatches: 'dispatches',
};

function inUnits(value: number | null, kind: Kind): string {
  if (value === null) return 'not told';
  if (kind === 'bytes') return formatBytes(value);
  return kind === 'dispatches' ? String(Math.round(value)) : `${value.toFixed(3)} s`;
}

/** The table for RESULTS.md. @param names what the revisions are called */
export function gateTable(rows: readonly Row[], names: { before: string; after: string }): string {
  return markdownTable(
    ['', names.before, names.after, 'ratio', 'middle half', ''],
    rows.map((row) => [
      `${row.title}: ${units[row.kind]}`,
      inUnits(row.before, row.kind),
      inUnits(row.after, row.kind),
      row.ratio?.toFixed(3) ?? '-',
      row.range?.map((value) => value.toFixed(3)).join('–') ?? '-',
      row.failed ? '**worse**' : '',
    ]),
  );
}

/** What got worse, one line each. */
export function failuresOf(rows: readonly Row[]): string[] {
  const limits = { processor: longest, wall: longest, bytes: mostBytes, dispatches: 1 };
  return rows
    .filter(({ failed }) => failed)
    .map(
      ({ title, kind, ratio }) =>
        `${title}: ${units[kind]} × ${ratio!.toFixed(3)}; at most × ${limits[kind]} is allowed`,
    );
}
