/**
 * The journal of a run: append-only, one small record per step, on the disk before the step is announced. Base model
 * and journal together rebuild the weights of every step, so it is the only thing that resume, replay, export and fork
 * need. Its bytes are described in journal-format.ts.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type FileHandle, open, rm } from '../platform/index.ts';
import { diskError, readFully, syncDirectoryOf, writeFully } from '../safetensors/disk.ts';
import { recordedBy, recordFields } from '../settings/methods.ts';
import { Followers } from './followers.ts';
import {
  decodeHeader,
  decodeRecords,
  encodeHeader,
  encodeRecord,
  fixedHeaderBytes,
  headerLength,
  type JournalHeader,
  recordBytes,
  type StepRecord,
} from './journal-format.ts';
import { acquireLock, type Lock } from './journal-lock.ts';
import type { RunLog } from './run-log.ts';

export type { JournalHeader, StepRecord } from './journal-format.ts';

/** A journal as it is on the disk. */
export interface Journal {
  readonly file: string;
  readonly header: JournalHeader;
  /** Steps 1, 2, … in order. */
  readonly records: readonly StepRecord[];
  /**
   * The rest of an interrupted write at the end of the file, or `null`. Of a run in progress it may be a step in the
   * making.
   */
  readonly torn: { readonly atByte: number; readonly bytes: number } | null;
  /** Bytes of one record. */
  readonly recordBytes: number;
}

export interface JournalOptions {
  /**
   * `always` (the default): each record is flushed to the device before `append` returns, so that a step that was
   * announced survives a power failure. `interval`: flushed once a second at most; every record still survives the end
   * of the process, and a power failure costs the last second.
   */
  sync?: 'always' | 'interval';
}

const syncIntervalMilliseconds = 1000;

/**
 * Starts the journal of a new run. The caller owns the run until it closes the writer.
 * @throws SubzeroError `conflict` if the file exists or another process holds its lock, `not_found` if the directory
 *   does not exist, `io` if it cannot be written.
 */
export async function createJournal(
  file: string,
  header: JournalHeader,
  options: JournalOptions = {},
): Promise<JournalWriter> {
  const bytes = encodeHeader(header);
  // As a reader will see it: what JSON drops is dropped now, and what a reader would refuse is refused now.
  const decoded = decodeHeader(bytes, file);
  return await withLock(file, async (lock) => {
    const handle = await openNew(file);
    try {
      await writeFully(handle, file, 0, bytes);
      await handle.sync();
    } catch (error) {
      await handle.close();
      await rm(file, { force: true });
      throw diskError(error, file, 'write');
    }
    await syncDirectoryOf(file);
    const end = { step: 0, position: bytes.length, checksum: decoded.checksum };
    return new JournalWriter(file, decoded.header, handle, lock, end, options);
  });
}

/**
 * Reads a journal; it may belong to a run in progress.
 * @throws SubzeroError `not_found`, `io`, `unsupported` (another version), or `invalid_data` if it was edited or is
 * damaged, which names the step.
 */
export async function openJournal(file: string): Promise<Journal> {
  return (await load(file)).journal;
}

/**
 * Opens a journal to go on where it ends. A torn end is cut off; `journal.torn` reports it.
 * @throws SubzeroError as {@link openJournal}; `conflict` if another process holds the lock.
 */
export async function resumeJournal(
  file: string,
  options: JournalOptions = {},
): Promise<{ journal: Journal; writer: JournalWriter }> {
  return await withLock(file, async (lock) => {
    const { journal, end } = await load(file);
    let handle: FileHandle;
    try {
      handle = await open(file, 'r+');
    } catch (error) {
      throw diskError(error, file, 'write');
    }
    try {
      if (journal.torn !== null) {
        await handle.truncate(end.position);
        await handle.sync();
      }
    } catch (error) {
      await handle.close();
      throw diskError(error, file, 'write');
    }
    return { journal, writer: new JournalWriter(file, journal.header, handle, lock, end, options) };
  });
}

/** Where the next record goes: behind the last good one. */
interface End {
  step: number;
  position: number;
  checksum: number;
}

/** Appends to a journal; made by {@link createJournal} and {@link resumeJournal}. */
export class JournalWriter implements RunLog {
  readonly file: string;
  readonly header: JournalHeader;
  readonly #handle: FileHandle;
  readonly #lock: Lock;
  readonly #sync: 'always' | 'interval';
  readonly #end: End;
  #syncedAt = performance.now();
  #unsynced = false;
  #busy = false;
  #failure: SubzeroError | undefined;
  #closed = false;
  readonly #followers = new Followers();

  constructor(file: string, header: JournalHeader, handle: FileHandle, lock: Lock, end: End, options: JournalOptions) {
    this.file = file;
    this.header = header;
    this.#handle = handle;
    this.#lock = lock;
    this.#end = end;
    this.#sync = options.sync ?? 'always';
  }

  /** The last step in the journal; 0 in a new one. */
  get lastStep(): number {
    return this.#end.step;
  }

  /**
   * Appends the next step and, with `sync: 'always'`, returns when it is on the device. Await it before the next call.
   *
   * Learning rate, projected gradients and curvatures must be f32 values (`Math.fround`), the very ones that the update
   * uses: anything else would be rounded here, and a replay would compute other weights than the run did. The loss is
   * rounded.
   *
   * @throws SubzeroError `invalid_argument` if the step is not the one after the last, a value is no f32 or the number
   *   of gradients is not that of the queries; `io` if it cannot be written. After an `io` error this writer takes no
   *   more records: close it and resume, which repairs the end of the file.
   */
  async append(record: StepRecord): Promise<void> {
    this.#check(record);
    const { bytes, checksum } = encodeRecord(record, this.#end.checksum);
    this.#busy = true;
    try {
      await writeFully(this.#handle, this.file, this.#end.position, bytes);
      this.#unsynced = true;
      if (this.#sync === 'always' || performance.now() - this.#syncedAt >= syncIntervalMilliseconds)
        await this.#flush();
    } catch (error) {
      this.#failure = error as SubzeroError;
      throw error;
    } finally {
      this.#busy = false;
    }
    this.#end.step = record.step;
    this.#end.position += bytes.length;
    this.#end.checksum = checksum;
    this.#followers.tell({ ...record, loss: Math.fround(record.loss) });
  }

  /** @throws SubzeroError as {@link openJournal} */
  read(): Promise<Journal> {
    return openJournal(this.file);
  }

  /** @throws SubzeroError as {@link openJournal} */
  follow({ after = 0, signal }: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<StepRecord> {
    return this.#followers.follow(async () => (await this.read()).records, after, signal);
  }

  /**
   * Flushes what is not yet on the device and gives the run free. Calling it again does nothing.
   * @throws SubzeroError `io` if the last records could not be flushed; the run is given free all the same.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#followers.end();
    try {
      if (this.#failure === undefined) await this.#flush();
    } finally {
      await this.#handle.close();
      await this.#lock.release();
    }
  }

  async #flush(): Promise<void> {
    if (!this.#unsynced) return;
    try {
      await this.#handle.datasync();
    } catch (error) {
      throw diskError(error, this.file, 'write');
    }
    this.#unsynced = false;
    this.#syncedAt = performance.now();
  }

  #check(record: StepRecord): void {
    const { step, learningRate, projectedGradients } = record;
    if (this.#closed || this.#busy) {
      const state = this.#closed ? 'closed' : 'busy with the step before; wait for it';
      throw new SubzeroError('conflict', `${this.file}: the journal is ${state}`, { parameter: this.file });
    }
    if (this.#failure !== undefined) {
      throw new SubzeroError(
        'io',
        `${this.file}: an earlier step could not be written, the run has to be resumed (${this.#failure.message})`,
        { parameter: this.file, cause: this.#failure },
      );
    }
    const reject = (expected: string, got: unknown) =>
      new SubzeroError('invalid_argument', `${this.file}: expected ${expected}, got ${got}`, { parameter: this.file });
    if (step !== this.#end.step + 1) throw reject(`step ${this.#end.step + 1}`, `step ${step}`);
    const { queries } = this.header.configuration;
    if (projectedGradients.length !== queries) {
      throw reject(`${queries} projected gradients in step ${step}`, projectedGradients.length);
    }
    const recorded = recordedBy(this.header.configuration);
    for (const field of recordFields) {
      const [wanted, got] = [recorded.includes(field) ? queries : 0, record[field]?.length ?? 0];
      const named = field === 'curvatures' ? field : 'aligned gradients';
      if (got !== wanted) throw reject(`${wanted} ${named} in step ${step}`, got);
    }
    for (const value of [
      learningRate,
      ...projectedGradients,
      ...recordFields.flatMap((field) => record[field] ?? []),
    ]) {
      if (!Object.is(Math.fround(value), value)) {
        throw reject(`f32 values (Math.fround) for the learning rate, gradients and curvatures of step ${step}`, value);
      }
    }
  }
}

async function load(file: string): Promise<{ journal: Journal; end: End }> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    throw diskError(error, file, 'open');
  }
  try {
    const { size } = await handle.stat();
    const read = async (position: number, length: number) => {
      const bytes = new Uint8Array(length);
      await readFully(handle, file, position, bytes);
      return bytes;
    };
    const headerBytes = headerLength(await read(0, Math.min(size, fixedHeaderBytes)), file);
    if (headerBytes > size) {
      throw new SubzeroError(
        'invalid_data',
        `${file}: the file ends inside its header, so it holds no step; delete it and start the run anew`,
        { parameter: file },
      );
    }
    const { header, checksum: headerChecksum } = decodeHeader(await read(0, headerBytes), file);
    const bytes = await read(headerBytes, size - headerBytes);
    const { records, checksum, tornBytes } = decodeRecords(bytes, header.configuration, headerChecksum, file);
    const position = size - tornBytes;
    const torn = tornBytes === 0 ? null : { atByte: position, bytes: tornBytes };
    return {
      journal: { file, header, records, torn, recordBytes: recordBytes(header.configuration) },
      end: { step: records.length, position, checksum },
    };
  } catch (error) {
    throw diskError(error, file, 'read');
  } finally {
    await handle.close();
  }
}

/** Takes the journal's lock and gives it up again if `use` fails. */
async function withLock<T>(file: string, use: (lock: Lock) => Promise<T>): Promise<T> {
  const lock = await acquireLock(`${file}.lock`);
  try {
    return await use(lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function openNew(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'wx');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') {
      throw new SubzeroError('conflict', `${file} exists; resume that run or choose another directory`, {
        parameter: file,
      });
    }
    throw diskError(error, file, 'create');
  }
}
