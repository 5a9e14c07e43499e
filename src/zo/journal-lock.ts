/**
 * A lock file, so that two processes do not append to one journal. It names its owner; the lock of a process that has
 * died is taken over.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type FileHandle, hostname, isProcessAlive, open, processId, readFile, rm, stat } from '../platform/index.ts';
import { diskError, writeFully } from '../safetensors/disk.ts';

/** A lock that is held. */
export interface Lock {
  /** Gives the lock up. Calling it again does nothing. */
  release(): Promise<void>;
}

interface Owner {
  pid: number;
  host: string;
  /** When the process began, see {@link startOf}; `null` where that cannot be found out. */
  started: string | null;
  token: string;
}

/** A lock file without a readable owner is being written, or was left by a crash; after this long it is the latter. */
const writingMilliseconds = 10_000;

/** How long another process may need to remove a stale lock. */
const takeoverMilliseconds = 20;

/** Two processes may keep finding each other's stale locks; this many rounds are plenty. */
const attempts = 5;

/**
 * Takes the lock `file`.
 * @throws SubzeroError `conflict` that names the owner if a living process holds it, `io` if it cannot be written.
 */
export async function acquireLock(file: string): Promise<Lock> {
  const owner: Owner = {
    pid: processId,
    host: hostname(),
    started: await startOf(processId),
    token: crypto.randomUUID(),
  };
  const text = `${JSON.stringify(owner)}\n`;
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (await create(file, text)) return { release: () => release(file, text) };
    const found = await readLock(file);
    if (found === undefined) continue;
    if (!(await isStale(file, found))) throw held(file, found);
    await removeStale(file, found);
  }
  throw new SubzeroError('conflict', `${file} is being taken by another process; try again`, { parameter: file });
}

/** Returns false if the file exists. */
async function create(file: string, text: string): Promise<boolean> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'wx');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') return false;
    throw diskError(error, file, 'create');
  }
  try {
    await writeFully(handle, file, 0, new TextEncoder().encode(text));
    return true;
  } catch (error) {
    await rm(file, { force: true });
    throw diskError(error, file, 'write');
  } finally {
    await handle.close();
  }
}

async function readLock(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const failure = diskError(error, file, 'read');
    if (failure.code === 'not_found') return undefined;
    throw failure;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    const owner = JSON.parse(text) as Owner | null;
    return Number.isSafeInteger(owner?.pid) && typeof owner?.host === 'string' ? owner : undefined;
  } catch {
    return undefined;
  }
}

async function isStale(file: string, text: string): Promise<boolean> {
  const owner = parseOwner(text);
  if (owner === undefined) {
    const written = await stat(file).catch(() => undefined);
    return written !== undefined && Date.now() - written.mtimeMs > writingMilliseconds;
  }
  // The processes of another machine on a shared disk cannot be asked.
  if (owner.host !== hostname()) return false;
  if (!isProcessAlive(owner.pid)) return true;
  // A living process with this number may be another one: in a container the numbers start over with every start.
  return typeof owner.started === 'string' && owner.started !== ((await startOf(owner.pid)) ?? owner.started);
}

/**
 * Removes exactly the stale lock that was looked at. Only the holder of a second file, made exclusively, may do so, and
 * it looks once more: another process may have put its own lock in the place by now.
 */
async function removeStale(file: string, text: string): Promise<void> {
  const guard = `${file}.takeover`;
  if (!(await create(guard, ''))) {
    const made = await stat(guard).catch(() => undefined);
    if (made !== undefined && Date.now() - made.mtimeMs > writingMilliseconds) await rm(guard, { force: true });
    await new Promise((resolve) => setTimeout(resolve, takeoverMilliseconds));
    return;
  }
  try {
    if ((await readLock(file)) === text) await rm(file, { force: true });
  } catch (error) {
    throw diskError(error, file, 'remove the stale lock');
  } finally {
    await rm(guard, { force: true });
  }
}

async function release(file: string, text: string): Promise<void> {
  if ((await readLock(file)) === text) await rm(file, { force: true });
}

/** On Linux the start of a process in clock ticks since the machine's, which tells two owners of one number apart. */
async function startOf(pid: number): Promise<string | null> {
  try {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold anything; the start is field 22.
    return status.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function held(file: string, text: string): SubzeroError {
  const owner = parseOwner(text);
  const by = owner === undefined ? 'another process' : `process ${owner.pid} on ${owner.host}`;
  return new SubzeroError(
    'conflict',
    `the run is in use by ${by}; stop it, or delete ${file} if that process no longer exists`,
    { parameter: file },
  );
}
