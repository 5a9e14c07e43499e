/**
 * Downloading a file into the cache: checked against its checksum, continued where it was cut, and seen under its name
 * only when it is whole.
 *
 * Until then it is BLOB.OWNER.TOKEN.incomplete beside the blob. The owner is a process of a machine, or `free` once
 * that has given up. A part is taken over by renaming it, which one process alone can do: two never write to one file.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { makeFolders } from '../make-folders.ts';
import {
  basename,
  createHash,
  dirname,
  type FileHandle,
  type Hash,
  hostname,
  isProcessAlive,
  join,
  open,
  processId,
  readdir,
  rename,
  rm,
  stat,
} from '../platform/index.ts';
import { diskError, readFully, syncDirectoryOf, writeFully } from '../safetensors/disk.ts';
import { type HubClient, PassingError, type RepositoryFile, reasonOf } from './client.ts';

/** How long things take; tests have less patience. */
export interface DownloadTimes {
  /** The pause after a failure, doubled for each one after another. */
  retryMilliseconds: number;
  /** How long a connection may bring nothing before it is cut. */
  stallMilliseconds: number;
  /** How long a living owner may leave a part unwritten before others take no more notice of it. */
  abandonedMilliseconds: number;
  /** Between two looks at what another process does. */
  lookMilliseconds: number;
}

export const downloadTimes: DownloadTimes = {
  retryMilliseconds: 1000,
  stallMilliseconds: 60_000,
  abandonedMilliseconds: 300_000,
  lookMilliseconds: 500,
};

/** Failures one after another, without a byte between them, after which a download is given up. */
const mostFailures = 5;

/** Bytes that are read at a time to hash what is here. */
const pieceBytes = 4 * 1024 * 1024;

export interface DownloadRequest {
  client: Pick<HubClient, 'open'>;
  commit: string;
  file: RepositoryFile;
  /** Where the content belongs. */
  blob: string;
  /** Told how many bytes more are here; a negative number where some have to come again. */
  onBytes: (count: number) => void;
  /** Told the bytes that come over the network. */
  onReceived: (count: number) => void;
  /** Told what else is worth knowing. */
  onNote: (note: string) => void;
  signal: AbortSignal;
  times: DownloadTimes;
  /** Opens the part; a test's own to fail. */
  openFile?: typeof open;
}

/** Downloads of this thread, so that two wishes for one file make one. */
const underWay = new Map<string, Promise<void>>();

/**
 * Makes a blob.
 * @throws SubzeroError `io` if the connection fails again and again or the disk is full, `invalid_data` if what comes
 *   is not what it should be, and as HubClient
 */
export async function download(request: DownloadRequest): Promise<void> {
  // Another wish's failure, such as its abort, is not this one's.
  for (let other = underWay.get(request.blob); other; other = underWay.get(request.blob)) await other.catch(() => {});
  const work = downloadOnce(request).finally(() => underWay.delete(request.blob));
  underWay.set(request.blob, work);
  await work;
}

async function downloadOnce(request: DownloadRequest): Promise<void> {
  const { blob, file, signal, times, onBytes, onNote } = request;
  await makeFolders(dirname(blob)).catch((error) => Promise.reject(diskError(error, dirname(blob), 'create')));
  let waits = false;
  for (;;) {
    signal.throwIfAborted();
    const here = await stat(blob).catch(() => undefined);
    if (here) {
      onBytes(file.size);
      return;
    }
    const claim = await claimPart(blob, times.abandonedMilliseconds);
    if (typeof claim === 'string') {
      await fill(request, claim);
      return;
    }
    if (!waits) onNote(`process ${claim.owner} is downloading ${file.path}; waiting for it`);
    waits = true;
    await pause(times.lookMilliseconds, signal);
  }
}

/** This process on this machine, as in the names of parts. */
function self(): string {
  return `${createHash('sha256').update(hostname()).digest('hex').slice(0, 8)}-${processId}`;
}

const partName = /\.(free|[0-9a-f]{8}-\d+)\.[0-9a-f]{8}\.incomplete$/;

function newPart(blob: string, owner: string): string {
  return `${blob}.${owner}.${crypto.randomUUID().slice(0, 8)}.incomplete`;
}

/** The parts of a blob. */
async function partsOf(blob: string): Promise<string[]> {
  const names = await readdir(dirname(blob)).catch(() => []);
  return names.filter((name) => name.startsWith(`${basename(blob)}.`) && partName.test(name));
}

/** A part that is ours from now on, the largest that has no owner, or who else is at work. */
async function claimPart(blob: string, abandonedMilliseconds: number): Promise<string | { owner: string }> {
  const found: { path: string; size: number }[] = [];
  const [machine] = self().split('-');
  for (const name of await partsOf(blob)) {
    const path = join(dirname(blob), name);
    const status = await stat(path).catch(() => undefined);
    if (!status) continue;
    const [, owner] = partName.exec(name)!;
    const [host, number] = owner!.split('-');
    if (owner === 'free' || (host === machine && !isProcessAlive(Number(number)))) {
      found.push({ path, size: status.size });
    } else if (Date.now() - status.mtimeMs < abandonedMilliseconds) {
      return { owner: number! };
    }
  }
  const mine = newPart(blob, self());
  for (const { path } of found.sort((a, b) => b.size - a.size)) {
    // Another process may have been faster.
    const taken = await rename(path, mine).then(
      () => true,
      () => false,
    );
    if (taken) return mine;
  }
  return mine;
}

/** Fills a part and gives it its name. What has come stays for another attempt, unless it is wrong. */
async function fill(request: DownloadRequest, part: string): Promise<void> {
  const { blob, file, signal } = request;
  let isGood = true;
  try {
    // What another process began may be damaged; a part of this attempt alone is not tried again.
    const resumed = await receive(request, part);
    if (resumed === 'damaged') {
      await rm(part, { force: true });
      if ((await receive(request, part)) !== 'whole') isGood = false;
    } else if (resumed === 'wrong') {
      isGood = false;
    }
    if (!isGood) {
      const { algorithm, value } = file.checksum;
      throw new SubzeroError(
        'invalid_data',
        `${file.path} did not come as it should: its ${algorithm} is not ${value}; it was removed. Try again, and ` +
          'if it happens again, something between here and the hub changes files',
        { parameter: file.path },
      );
    }
    signal.throwIfAborted();
    await rename(part, blob).catch(async (error) => {
      // Another process that took this one for gone has made the same file and tidied up.
      if (!(await stat(blob).catch(() => undefined))) throw diskError(error, blob, 'create');
    });
    await syncDirectoryOf(blob);
    for (const name of await partsOf(blob)) await rm(join(dirname(blob), name), { force: true });
  } catch (error) {
    await (isGood ? rename(part, newPart(blob, 'free')) : rm(part, { force: true })).catch(() => {});
    throw error;
  }
}

type Outcome = 'whole' | 'wrong' | 'damaged';

/** Brings a part to its full length. @returns whether it is right, and if not, whether some of it was here before */
async function receive(request: DownloadRequest, part: string): Promise<Outcome> {
  const { file, onBytes, openFile = open } = request;
  const size = (await stat(part).catch(() => undefined))?.size;
  let handle: FileHandle;
  try {
    handle = await openFile(part, size === undefined ? 'wx' : 'r+');
  } catch (error) {
    throw diskError(error, part, 'create');
  }
  try {
    const target = new Target(handle, part, file, onBytes);
    const before = await target.begin(size ?? 0);
    await receiveRest(request, target);
    if (target.isRight) {
      await handle.sync().catch((error) => Promise.reject(diskError(error, part, 'write')));
      return 'whole';
    }
    onBytes(-file.size);
    return before > 0 ? 'damaged' : 'wrong';
  } finally {
    await handle.close();
  }
}

/** The file that is written, and the hash of what it holds. */
class Target {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #file: RepositoryFile;
  readonly #onBytes: (count: number) => void;
  #hash: Hash;
  #length = 0;

  constructor(handle: FileHandle, path: string, file: RepositoryFile, onBytes: (count: number) => void) {
    this.#handle = handle;
    this.#path = path;
    this.#file = file;
    this.#onBytes = onBytes;
    this.#hash = this.#newHash();
  }

  /** Bytes that are here. */
  get length(): number {
    return this.#length;
  }

  get isRight(): boolean {
    return this.#length === this.#file.size && this.#hash.digest('hex') === this.#file.checksum.value;
  }

  #newHash(): Hash {
    const { checksum, size } = this.#file;
    if (checksum.algorithm === 'sha256') return createHash('sha256');
    return createHash('sha1').update(`blob ${size}\0`);
  }

  /** Takes up what the file holds. @returns how much of it */
  async begin(size: number): Promise<number> {
    if (size > this.#file.size) {
      await this.restart();
      return 0;
    }
    const piece = new Uint8Array(Math.min(size, pieceBytes));
    while (this.#length < size) {
      const part = piece.subarray(0, Math.min(piece.length, size - this.#length));
      await readFully(this.#handle, this.#path, this.#length, part);
      this.#take(part);
    }
    return size;
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0).catch((error) => Promise.reject(diskError(error, this.#path, 'write')));
    this.#onBytes(-this.#length);
    this.#length = 0;
    this.#hash = this.#newHash();
  }

  async write(bytes: Uint8Array): Promise<void> {
    await writeFully(this.#handle, this.#path, this.#length, bytes);
    this.#take(bytes);
  }

  #take(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#length += bytes.length;
    this.#onBytes(bytes.length);
  }
}

/** Asks for what lacks until it is there. */
async function receiveRest(request: DownloadRequest, target: Target): Promise<void> {
  const { file, signal, times } = request;
  for (let failures = 0; target.length < file.size; ) {
    const before = target.length;
    try {
      await receiveSome(request, target);
      if (target.length < file.size) throw new PassingError('the connection was closed too early');
    } catch (error) {
      if (signal.aborted || !(error instanceof PassingError)) throw error;
      failures = target.length > before ? 1 : failures + 1;
      if (failures >= mostFailures) {
        throw new SubzeroError(
          'io',
          `${file.path}: ${error.message}. ${formatBytes(target.length)} of ${formatBytes(file.size)} have come and ` +
            'are kept; the same command goes on from there',
          { parameter: file.path, cause: error },
        );
      }
      await pause(times.retryMilliseconds * 2 ** (failures - 1), signal);
    }
  }
}

/** One request. @throws PassingError where another may go further */
async function receiveSome(request: DownloadRequest, target: Target): Promise<void> {
  const { client, commit, file, signal, times, onReceived } = request;
  const stalled = new AbortController();
  const both = AbortSignal.any([signal, stalled.signal]);
  const response = await client.open(commit, file.path, target.length, both);
  const from = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
  // A service that sends no parts sends all of it.
  if (response.status !== 206 && target.length > 0) await target.restart();
  else if (response.status === 206 && Number(from) !== target.length) {
    await response.body?.cancel();
    throw new PassingError(`asked for bytes from ${target.length}, the answer begins at ${from}`);
  }
  if (!response.body) throw new PassingError('the answer has no body');
  const reader = response.body.getReader();
  try {
    for (;;) {
      const timer = setTimeout(() => stalled.abort(), times.stallMilliseconds);
      const { done, value } = await read(reader, stalled.signal).finally(() => clearTimeout(timer));
      if (done) return;
      if (target.length + value.length > file.size) {
        throw new SubzeroError('invalid_data', `${file.path}: more bytes came than the ${file.size} that it has`);
      }
      onReceived(value.length);
      await target.write(value);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function read(reader: ReadableStreamDefaultReader<Uint8Array>, stalled: AbortSignal) {
  try {
    return await reader.read();
  } catch (error) {
    if (stalled.aborted) throw new PassingError('the connection brought nothing any more', error);
    throw new PassingError(`the connection was cut (${reasonOf(error)})`, error);
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end);
      resolve();
    }, milliseconds);
    signal.addEventListener('abort', end, { once: true });
  });
}
