/**
 * The runs whose journals a cluster has.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { join, resolve } from '../platform/index.ts';
import { createRunFolder, removeRun, runFiles } from '../train/run-folder.ts';
import { createJournal } from '../zo/journal.ts';
import { decodeHeader, decodeRecord, type JournalHeader } from '../zo/journal-format.ts';
import type { ClusterAddress } from './address.ts';
import { Bus, type JournalEntry } from './bus.ts';
import { noteClaim, stepOf } from './claim.ts';
import { removeUnusedFiles } from './examples-file.ts';
import { decode } from './protocol.ts';

export { withoutPassword } from './address.ts';

export interface ClusterRun {
  run: string;
  /** Steps that the cluster has. */
  step: number;
  /** The process that trains it, if one does. */
  owner: string | null;
}

/** All runs with their steps. */
export async function clusterRuns(address: ClusterAddress): Promise<ClusterRun[]> {
  const bus = await Bus.connect(address, 'subzero cluster runs');
  try {
    return await Promise.all(
      (await bus.runs()).map(async (run) => {
        const [last, lease] = await Promise.all([bus.lastEntry(run), bus.leaseOf(run)]);
        const owner = lease instanceof Uint8Array ? ownerOf(lease) : null;
        return { run, step: last ? stepOf(last.data) : 0, owner };
      }),
    );
  } finally {
    await bus.close();
  }
}

/**
 * Removes a run's journal from the cluster, and files that no run needs; the run folder of whoever led it stays.
 * @throws SubzeroError `not_found` for an unknown run, `conflict` while it is being trained
 */
export async function removeClusterRun(address: ClusterAddress, run: string): Promise<void> {
  const bus = await Bus.connect(address, `subzero cluster remove ${run}`);
  try {
    await knownRun(bus, run);
    const lease = await bus.leaseOf(run);
    if (lease instanceof Uint8Array) {
      throw new SubzeroError('conflict', `${ownerOf(lease)} trains the run "${run}"; stop it there first`);
    }
    await bus.removeRun(run);
    await removeUnusedFiles(bus);
  } finally {
    await bus.close();
  }
}

/** Who holds a lease, whatever version of the protocol it speaks. */
function ownerOf(lease: Uint8Array): string {
  try {
    return decode('announcement', lease).owner;
  } catch {
    return 'another version of subzero';
  }
}

/** The last entry of a run's journal. @throws SubzeroError `not_found` that names those there are */
async function knownRun(bus: Bus, run: string): Promise<JournalEntry> {
  const last = await bus.lastEntry(run);
  if (last) return last;
  const known = await bus.runs();
  const list = known.length === 0 ? 'it has none' : `it has ${known.join(', ')}`;
  throw new SubzeroError('not_found', `the cluster has no run "${run}"; ${list}`);
}

/**
 * Makes a run folder from the cluster's journal, to be resumed on this machine: the base model and the data must lie
 * where the journal's header says.
 * @returns the number of steps
 * @throws SubzeroError `not_found` for an unknown run, `conflict` where the folder holds a run
 */
export async function fetchRun(address: ClusterAddress, run: string, out: string): Promise<number> {
  const bus = await Bus.connect(address, `subzero cluster fetch ${run}`);
  const folder = resolve(out);
  try {
    const last = await knownRun(bus, run);
    const steps = stepOf(last.data);
    const made = { folder: await createRunFolder(folder), files: true };
    const stop = new AbortController();
    let writer: Awaited<ReturnType<typeof createJournal>> | undefined;
    let header: JournalHeader | undefined;
    try {
      for await (const { sequence, data } of bus.follow(run, stop.signal)) {
        if (!header) {
          header = decodeHeader(data, `the cluster's journal of "${run}"`).header;
          writer = await createJournal(join(folder, runFiles.journal), header, { sync: 'interval' });
        } else {
          const decoded = decodeRecord(data, header.configuration, 0);
          if (!decoded) throw new SubzeroError('invalid_data', `a step of "${run}" does not match its checksum`);
          await writer!.append(decoded.record);
        }
        if (sequence >= last.sequence) break;
      }
      await writer?.close();
      await noteClaim(folder, { run });
      return steps;
    } catch (error) {
      await writer?.close();
      await removeRun(folder, made);
      throw error;
    } finally {
      stop.abort();
    }
  } finally {
    await bus.close();
  }
}
