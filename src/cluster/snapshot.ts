/**
 * What a run has become at some step, as a file of the cluster, so that whoever comes late need not replay all of its
 * steps: a line of JSON, the bytes of all buffers, and the SHA-256 of both in hexadecimal digits. It belongs to an
 * entry of the run's journal, by which it is known to be of this run and this step. The journal stays the truth: a
 * snapshot that is missing or wrong costs time only.
 *
 * @module
 */

import { z } from 'zod';
import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { createHash, equalBytes } from '../platform/index.ts';
import type { CarriedBytes } from '../zo/carried-state.ts';
import { encodeRecord, type StepRecord } from '../zo/journal-format.ts';
import type { Bus } from './bus.ts';
import { digestOfBytes } from './digest.ts';

/** Runs whose state is larger have none: it would be in memory as a whole, and keep the server busy. */
export const mostSnapshotBytes = 512 * 2 ** 20;

/** Snapshots of a run that are kept; the older one for those who are reading it. */
const kept = 2;

const format = 1;
const newline = 10;
const hashBytes = 64;
/** Most bytes of the line. */
const mostHeaderBytes = 16 * 2 ** 20;
const pieceBytes = 2 ** 20;

const headerSchema = z.strictObject({
  format: z.literal(format),
  run: z.string(),
  /** Steps applied; at least one. */
  step: z.int().min(1),
  /** The journal's entry with that step, in the stream. */
  sequence: z.int().min(1),
  /** SHA-256 of that entry. */
  record: z.string(),
  baseFingerprint: z.string(),
  /** The digest of the state, as workers compare it. */
  digest: z.string(),
  numbers: z.array(z.number()),
  buffers: z.array(z.strictObject({ name: z.string(), bytes: z.int().min(0) })),
});

export interface Snapshot {
  run: string;
  step: number;
  sequence: number;
  record: string;
  baseFingerprint: string;
  state: CarriedBytes;
}

/** The name of a record of the journal. */
export function recordName(record: StepRecord): string {
  return createHash('sha256').update(encodeRecord(record, 0).bytes).digest('hex');
}

const start = (run: string): string => `snapshot-${run}-`;

export function isSnapshotFile(name: string): boolean {
  return name.startsWith('snapshot-');
}

/** Whether a file is a snapshot of one of these runs. */
export function isSnapshotOf(name: string, runs: readonly string[]): boolean {
  return runs.some((run) => stepsAmong([name], run).length > 0);
}

/** The steps of a run's snapshots, the newest first. */
function stepsAmong(names: readonly string[], run: string): number[] {
  return names
    .filter((name) => name.startsWith(start(run)) && /^\d+$/.test(name.slice(start(run).length)))
    .map((name) => Number(name.slice(start(run).length)))
    .sort((a, b) => b - a);
}

/** The pieces of the file. */
export function* encodeSnapshot({ state, ...of }: Snapshot): Generator<Uint8Array> {
  const { numbers, buffers } = state;
  const digest = digestOfBytes(buffers.map(({ bytes }) => bytes)).name;
  const sizes = buffers.map(({ name, bytes }) => ({ name, bytes: bytes.length }));
  const line = `${JSON.stringify({ format, ...of, digest, numbers, buffers: sizes })}\n`;
  const hash = createHash('sha256');
  for (const whole of [new TextEncoder().encode(line), ...buffers.map(({ bytes }) => bytes)]) {
    for (let at = 0; at < whole.length; at += pieceBytes) {
      const piece = whole.subarray(at, at + pieceBytes);
      hash.update(piece);
      yield piece;
    }
  }
  yield new TextEncoder().encode(hash.digest('hex'));
}

/** @throws SubzeroError `invalid_data` for anything but a whole snapshot whose parts belong together */
export function decodeSnapshot(file: Uint8Array): Snapshot {
  const refuse = (problem: string): never => {
    throw new SubzeroError('invalid_data', problem);
  };
  const end = file.length - hashBytes;
  if (end < 1) return refuse(`it has ${file.length} bytes`);
  const hash = createHash('sha256').update(file.subarray(0, end)).digest('hex');
  if (!equalBytes(new TextEncoder().encode(hash), file.subarray(end))) return refuse('it does not match its checksum');
  const line = file.subarray(0, mostHeaderBytes).indexOf(newline);
  if (line < 0) return refuse('it does not begin with a line of JSON');
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(file.subarray(0, line)));
  } catch {
    return refuse('it does not begin with a line of JSON');
  }
  const parsed = headerSchema.safeParse(value);
  if (!parsed.success) return refuse(`its first line is of another version (${parsed.error.issues[0]!.message})`);
  const { format: _, digest, numbers, buffers: sizes, ...of } = parsed.data;
  let at = line + 1;
  const buffers = sizes.map(({ name, bytes }) => {
    // A copy, as numbers begin at multiples of four.
    const part = file.slice(at, at + bytes);
    at += bytes;
    return { name, bytes: part };
  });
  if (at !== end || buffers[0] === undefined) return refuse(`it has ${end} bytes; its first line makes ${at} of them`);
  if (digestOfBytes(buffers.map(({ bytes }) => bytes)).name !== digest) return refuse('its state has another digest');
  return { ...of, state: { numbers, buffers } };
}

/** Puts a snapshot there and removes those that are too many. */
export async function putSnapshot(bus: Bus, snapshot: Snapshot): Promise<void> {
  const { run, step } = snapshot;
  await bus.files.put(`${start(run)}${step}`, () => encodeSnapshot(snapshot));
  const old = stepsAmong(await bus.files.names(), run).slice(kept);
  for (const each of old) await bus.files.remove(`${start(run)}${each}`);
}

/** Removes all snapshots of a run. */
export async function removeSnapshots(bus: Bus, run: string): Promise<void> {
  for (const step of stepsAmong(await bus.files.names(), run)) await bus.files.remove(`${start(run)}${step}`);
}

/** What a snapshot must be of. */
export interface Wanted {
  run: string;
  baseFingerprint: string;
  /** It may not be of an earlier step, nor of a later one. */
  from?: number;
  to?: number;
}

/**
 * The newest snapshot that is whole and that a journal agrees with.
 * @param agrees whether the journal has this record at this step; that of the stream by default
 * @param problem is told of each that was passed over
 * @returns nothing where there is none
 */
export async function findSnapshot(
  bus: Bus,
  wanted: Wanted,
  problem: (line: string) => void,
  agrees?: (step: number) => string | undefined,
): Promise<Snapshot | undefined> {
  const { run, baseFingerprint, from = 1, to = Number.POSITIVE_INFINITY } = wanted;
  let names: string[];
  try {
    names = await bus.files.names();
  } catch (error) {
    problem(`the snapshots of "${run}" cannot be listed: ${(error as Error).message}; all of its steps are replayed`);
    return undefined;
  }
  for (const step of stepsAmong(names, run).filter((each) => each >= from && each <= to)) {
    try {
      const snapshot = decodeSnapshot(
        await bus.files.read(`${start(run)}${step}`, mostSnapshotBytes + mostHeaderBytes),
      );
      if (snapshot.run !== run || snapshot.step !== step || snapshot.baseFingerprint !== baseFingerprint) {
        throw new SubzeroError('invalid_data', `it is of step ${snapshot.step} of "${snapshot.run}"`);
      }
      const entry = agrees ? agrees(step) : await bus.nameOfEntry(run, snapshot.sequence);
      if (entry !== snapshot.record) throw new SubzeroError('invalid_data', 'the journal has another record there');
      return snapshot;
    } catch (error) {
      problem(
        `the snapshot of "${run}" at step ${step} cannot be used: ${(error as Error).message}; ` +
          'more steps are replayed instead',
      );
    }
  }
  return undefined;
}

/** Why a run has no snapshots, where its state is too large. */
export function tooLarge(bytes: number): string | undefined {
  if (bytes <= mostSnapshotBytes) return undefined;
  return (
    `what this run trains takes ${formatBytes(bytes)}; snapshots are made up to ${formatBytes(mostSnapshotBytes)}, ` +
    'so workers that join late replay its steps'
  );
}
