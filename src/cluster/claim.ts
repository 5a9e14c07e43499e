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
} from '../platform/index.ts';
import { diskError, writeFully, writeWhole } from '../safetensors/disk.ts';
import type { Journal } from '../zo/journal.ts';
import { encodeHeader, encodeRecord } from '../zo/journal-format.ts';
import { type Bus, otherLeader } from './bus.ts';
import { type Announcement, decode, encode } from './protocol.ts';
import { sleep } from './waiting.ts';

/** Seconds after which the run of a coordinator that is gone may be taken up. */
export const leaseSeconds = 15;

/** A run as clusters know it: its name there, and the last epoch in which it was led from this folder. */
interface Claim {
  run: string;
  epoch?: number;
}

const fileOf = (folder: string): string => join(folder, 'cluster.json');

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
  await noteClaim(folder, { run });
  return run;
}

/** The name that a run has in clusters, if it has been shared. */
export async function knownNameOf(folder: string): Promise<string | undefined> {
  return (await readClaim(folder))?.run;
}

/** The last epoch in which the run was led from this folder. */
export async function knownEpochOf(folder: string): Promise<number | undefined> {
  return (await readClaim(folder))?.epoch;
}

/**
 * Notes the name, and the epoch, which the next one must be above, whatever becomes of the server. A crash leaves the
 * old claim or the new one.
 * @throws SubzeroError `io`
 */
export async function noteClaim(folder: string, claim: Claim): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(claim)}\n`);
  await writeWhole(fileOf(folder), (handle, partial) => writeFully(handle, partial, 0, bytes));
}

/** @throws SubzeroError `io`, or `invalid_data` if the file is not what {@link noteClaim} writes */
async function readClaim(folder: string): Promise<Claim | undefined> {
  const file = fileOf(folder);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    throw diskError(error, file, 'read');
  }
  const claim = parseClaim(text);
  if (claim) return claim;
  throw new SubzeroError(
    'invalid_data',
    `${file}: expected the run's name in clusters, such as {"run": "sst2-1a2b3c4d"}; repair it (subzero cluster runs ` +
      'lists the names), or delete it, and the run gets a new name',
    { parameter: file },
  );
}

function parseClaim(text: string): Claim | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { run, epoch = 0 } = (value ?? {}) as Partial<Claim>;
  return typeof run === 'string' && Number.isSafeInteger(epoch) ? (value as Claim) : undefined;
}

/**
 * Takes the lease of a run, waiting until that of a coordinator which is gone has run out.
 * @param stopped ends the wait
 * @returns the revision of the lease
 * @throws SubzeroError `conflict` where another coordinator keeps it; `cancelled`
 */
export async function takeLease(
  bus: Pick<Bus, 'takeLease' | 'leaseOf' | 'giveUpLease'>,
  announcement: Announcement,
  stopped?: AbortSignal,
): Promise<number> {
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
    if (stopped?.aborted) {
      throw new SubzeroError('cancelled', `the run was stopped while it waited for ${owner}, which trained it last`);
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
