/**
 * Taking a run up in a cluster: its name there, the lease that says who leads it, and the copy of its journal.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import {
  basename,
  createHash,
  equalBytes,
  hostname,
  isProcessAlive,
  join,
  processId,
  readFile,
  writeFile,
} from '../platform/index.ts';
import type { Journal } from '../zo/journal.ts';
import { encodeHeader, encodeRecord } from '../zo/journal-format.ts';
import { type Bus, otherLeader, sleep } from './bus.ts';
import { type Announcement, decode, encode } from './protocol.ts';

/** Seconds after which the run of a coordinator that is gone may be taken up. */
export const leaseSeconds = 15;

/** The file of a run folder with its name in the cluster. */
export const clusterFile = 'cluster.json';

/** The name of a run in clusters, made when it is first shared. */
export async function nameOf(folder: string): Promise<string> {
  const known = await knownNameOf(folder);
  if (known !== undefined) return known;
  const random = createHash('sha256')
    .update(`${hostname()} ${processId} ${folder} ${Date.now()} ${Math.random()}`)
    .digest('hex')
    .slice(0, 8);
  const run = `${basename(folder)
    .replaceAll(/[^A-Za-z0-9_-]/g, '-')
    .slice(0, 60)}-${random}`;
  await writeFile(join(folder, clusterFile), `${JSON.stringify({ run })}\n`);
  return run;
}

/** The name that a run has in clusters, if it has been shared. */
export async function knownNameOf(folder: string): Promise<string | undefined> {
  return (await read(folder)).run;
}

/** The last epoch in which the run was led from this folder. */
export async function knownEpochOf(folder: string): Promise<number | undefined> {
  return (await read(folder)).epoch;
}

/** Notes the epoch, which the next one must be above, whatever becomes of the server. */
export async function noteEpoch(folder: string, run: string, epoch: number): Promise<void> {
  await writeFile(join(folder, clusterFile), `${JSON.stringify({ run, epoch })}\n`);
}

async function read(folder: string): Promise<{ run?: string; epoch?: number }> {
  try {
    return JSON.parse(await readFile(join(folder, clusterFile), 'utf8')) as { run: string };
  } catch {
    return {};
  }
}

/** Takes the lease of a run, waiting until that of a coordinator which is gone has run out. */
export async function takeLease(bus: Bus, announcement: Announcement): Promise<number> {
  const { run } = announcement;
  const until = Date.now() + 2 * leaseSeconds * 1000;
  for (;;) {
    const revision = await bus.takeLease(run, encode('announcement', announcement));
    if (revision !== undefined) return revision;
    const holder = await bus.leaseOf(run);
    if (!(holder instanceof Uint8Array)) {
      await sleep(100);
      continue;
    }
    const { owner } = decode('announcement', holder);
    const [host, process] = owner.split(/:(?=\d+$)/);
    if (host === hostname() && !isProcessAlive(Number(process))) {
      await bus.giveUpLease(run);
      continue;
    }
    if (Date.now() > until) {
      throw new SubzeroError('conflict', `${owner} trains the run "${run}"; stop it there, or wait until it is done`);
    }
    await sleep(500);
  }
}

/** Brings the copy of a journal to where the file is. @returns the sequence of its last entry */
export async function copyJournal(bus: Bus, run: string, { header, records, file }: Journal): Promise<number> {
  const last = await bus.lastEntry(run);
  let sequence = last?.sequence ?? 0;
  let steps = 0;
  if (!last) sequence = await bus.append(run, encodeHeader(header), 0);
  else steps = stepOf(last.data);
  if (steps > 0 && steps <= records.length && !equalBytes(last!.data, encodeRecord(records[steps - 1]!, 0).bytes)) {
    throw new SubzeroError('conflict', otherLeader(run));
  }
  if (steps > records.length) {
    throw new SubzeroError(
      'conflict',
      `the cluster has ${steps} steps of the run "${run}", ${file} has ${records.length}; ` +
        `fetch them: subzero cluster fetch --run ${run} --out NEW`,
    );
  }
  for (const record of records.slice(steps)) {
    sequence = await bus.append(run, encodeRecord(record, 0).bytes, sequence);
  }
  return sequence;
}

/** The step of a journal's entry; 0 of its header. */
export function stepOf(entry: Uint8Array): number {
  // A header begins with "subzero-journal", which no number of a step does.
  const header = entry.length > 16 && new TextDecoder().decode(entry.subarray(0, 15)) === 'subzero-journal';
  return header ? 0 : new DataView(entry.buffer, entry.byteOffset).getUint32(0, true);
}
