/**
 * Reading and writing files in full, with errors that say which file and what to do.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { dirname, type FileHandle, open, rename, rm, stat } from '../platform/index.ts';

/** One system call moves at most this much: Linux cuts a single read or write off at 2 GiB − 4 KiB. */
const largestTransfer = 256 * 1024 * 1024;

const advice: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space and try again',
  EDQUOT: 'the disk quota is used up; free some space and try again',
  EFBIG: 'the file grew past the limit of the file system or of this process',
  EROFS: 'the file system is read-only; choose another directory',
  EACCES: 'permission denied; check the owner and the mode of the file and of its directory',
  EPERM: 'permission denied; check the owner and the mode of the file and of its directory',
  EMFILE: 'too many open files; raise the limit (ulimit -n)',
  ENFILE: 'too many open files on this machine',
  EISDIR: 'it is a directory; name a file',
  ENOTDIR: 'a part of the path is not a directory',
  ENAMETOOLONG: 'the name is too long',
  EIO: 'the device reported an input/output error',
};

/**
 * Turns an error of the file system into a {@link SubzeroError}: `not_found` for a missing path, else `io`. Errors that
 * are a defect of ours (TypeError, RangeError) are thrown as they are.
 * @param action what was attempted, as in "cannot `action` FILE".
 */
export function diskError(error: unknown, file: string, action: string): SubzeroError {
  if (error instanceof SubzeroError) return error;
  if (error instanceof TypeError || error instanceof RangeError) throw error;
  const code = (error as { code?: unknown } | null)?.code;
  if (code === 'ENOENT') {
    return new SubzeroError('not_found', `cannot ${action} ${file}: no such file or directory`, {
      parameter: file,
      cause: error,
    });
  }
  const reason =
    (typeof code === 'string' ? advice[code] : undefined) ?? (error instanceof Error ? error.message : String(error));
  return new SubzeroError('io', `cannot ${action} ${file}: ${reason}`, { parameter: file, cause: error });
}

/**
 * Fills `target` from `position` on.
 * @throws SubzeroError `invalid_data` if the file ends before that, `io` if it cannot be read.
 */
export async function readFully(handle: FileHandle, file: string, position: number, target: Uint8Array): Promise<void> {
  let done = 0;
  while (done < target.byteLength) {
    const wanted = Math.min(target.byteLength - done, largestTransfer);
    let bytesRead: number;
    try {
      ({ bytesRead } = await handle.read(target, done, wanted, position + done));
    } catch (error) {
      throw diskError(error, file, 'read');
    }
    if (bytesRead === 0) {
      throw new SubzeroError(
        'invalid_data',
        `${file}: expected ${target.byteLength} bytes at byte ${position}, but the file ends after ${done} of them; ` +
          'it was cut short, or changed while it was open',
        { parameter: file },
      );
    }
    done += bytesRead;
  }
}

/**
 * Opens a file for reading.
 * @param what it should be, for the error: "a GGUF file"
 * @throws SubzeroError `invalid_data` for anything but a regular file, `not_found` or `io` as {@link diskError}
 */
export async function openRegularFile(file: string, what: string): Promise<FileHandle> {
  try {
    // Before opening: opening a named pipe would wait for a writer.
    if (!(await stat(file)).isFile()) {
      throw new SubzeroError('invalid_data', `${file}: expected ${what}, got a directory or a device`, {
        parameter: file,
      });
    }
    return await open(file, 'r');
  } catch (error) {
    throw diskError(error, file, 'open');
  }
}

/**
 * Writes all of `bytes` at `position`.
 * @throws SubzeroError `io`, for instance when the disk is full.
 */
export async function writeFully(handle: FileHandle, file: string, position: number, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const wanted = Math.min(bytes.byteLength - done, largestTransfer);
    try {
      const { bytesWritten } = await handle.write(bytes, done, wanted, position + done);
      done += bytesWritten;
    } catch (error) {
      throw diskError(error, file, 'write');
    }
  }
}

/**
 * Writes a file that appears under its name when it is complete and on the disk: until then it is `FILE.partial`, which
 * is removed on a failure. An existing file is replaced.
 * @param write puts the content into the open file; `partial` is its name, for errors
 * @throws SubzeroError `not_found` if the directory does not exist, `io` if the disk is full or read-only. An error
 *   thrown by `write` is passed on.
 */
export async function writeWhole(
  file: string,
  write: (handle: FileHandle, partial: string) => Promise<void>,
): Promise<void> {
  const partial = `${file}.partial`;
  let handle: FileHandle;
  try {
    handle = await open(partial, 'w');
  } catch (error) {
    throw diskError(error, partial, 'create');
  }
  try {
    try {
      await write(handle, partial);
      await handle.sync().catch((error: unknown) => Promise.reject(diskError(error, partial, 'write')));
    } finally {
      await handle.close();
    }
    await rename(partial, file).catch((error: unknown) => Promise.reject(diskError(error, file, 'create')));
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
  await syncDirectoryOf(file);
}

/**
 * Makes a new or renamed entry of the directory of `file` durable. Where directories cannot be opened (Windows) the
 * file system orders this by itself, so failures are of no interest.
 */
export async function syncDirectoryOf(file: string): Promise<void> {
  try {
    const handle = await open(dirname(file), 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // See above.
  }
}
