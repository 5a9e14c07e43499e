/**
 * Where two runs part.
 *
 * @module
 */

import { type JournalHeader, openJournal, type StepRecord } from '../zo/journal.ts';
import { readChanges } from './changes.ts';
import { journalFile } from './run-folder.ts';

/** Steps shown before and behind the one at which runs part. */
const around = 2;

/** A field of the headers in which two runs differ. */
export interface HeaderDifference {
  /** `configuration.rank`, `baseFingerprint`, … */
  field: string;
  a: unknown;
  b: unknown;
}

export interface RunDifference {
  /** Whether settings, base model, data and all steps are equal. */
  same: boolean;
  /** What decides the result. */
  settings: HeaderDifference[];
  /** Where and how it ran: adapter, version, paths. Other adapters round otherwise. */
  circumstances: HeaderDifference[];
  /** Steps of each. */
  steps: { a: number; b: number };
  /** The first step that is not the same, and what differs in it; `null` if one run is the beginning of the other. */
  parted: { step: number; fields: string[]; a: StepRecord; b: StepRecord } | null;
  /** The losses around that step. */
  losses: { step: number; a: number | null; b: number | null }[];
}

/**
 * Compares two runs by their journals; needs no GPU and no model.
 * @throws SubzeroError as `openJournal`
 */
export async function compareRuns(folderA: string, folderB: string): Promise<RunDifference> {
  const [a, b] = [await openRun(folderA), await openRun(folderB)];
  const settings = [
    ...differences('configuration.', a.header.configuration, b.header.configuration),
    ...differences('', identity(a.header), identity(b.header)),
  ];
  const circumstances = differences('', circumstancesOf(a.header), circumstancesOf(b.header));
  const steps = { a: a.records.length, b: b.records.length };
  const index = a.records.findIndex(
    (record, at) => at < steps.b && fieldsThatDiffer(record, b.records[at]!).length > 0,
  );
  const recordA = a.records[index];
  const recordB = b.records[index];
  const parted =
    recordA && recordB ? { step: index + 1, fields: fieldsThatDiffer(recordA, recordB), a: recordA, b: recordB } : null;
  const last = parted?.step ?? Math.min(steps.a, steps.b) + 1;
  const losses = Array.from({ length: 2 * around + 1 }, (_, at) => last - around + at)
    .filter((step) => step >= 1 && step <= Math.max(steps.a, steps.b))
    .map((step) => ({ step, a: a.records[step - 1]?.loss ?? null, b: b.records[step - 1]?.loss ?? null }));
  const same = settings.length === 0 && !parted && steps.a === steps.b;
  return { same, settings, circumstances, steps, parted, losses: same ? [] : losses };
}

async function openRun(folder: string): Promise<{ header: JournalHeader; records: readonly StepRecord[] }> {
  const { header, records } = await openJournal(await journalFile(folder));
  return { header: { ...header, configuration: { ...header.configuration, ...(await readChanges(folder)) } }, records };
}

const identity = ({ baseFingerprint, dataFingerprint }: JournalHeader) => ({ baseFingerprint, dataFingerprint });
const circumstancesOf = ({ adapter, packageVersion, basePath, extra }: JournalHeader) => ({
  ...{ adapter, packageVersion, basePath },
  ...extra,
});

function differences(prefix: string, a: object, b: object): HeaderDifference[] {
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])]
    .filter((key) => JSON.stringify(left[key]) !== JSON.stringify(right[key]))
    .map((key) => ({ field: prefix + key, a: left[key] ?? null, b: right[key] ?? null }));
}

function fieldsThatDiffer(a: StepRecord, b: StepRecord): string[] {
  return differences('', a, b).map(({ field }) => field);
}
