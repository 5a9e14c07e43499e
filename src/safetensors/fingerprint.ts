/**
 * A short name for the content of weight files, so that a run finds out when its base model was exchanged.
 *
 * @module
 */

import { createHash, type FileHandle, type Hash } from '../platform/index.ts';
import { readFully } from './disk.ts';

/** Up to this many bytes all content is hashed: less than a second. */
const fullHashBytes = 256 * 1024 * 1024;

const blockBytes = 1024 * 1024;

/** Blocks of a large model that are hashed; together as much as is hashed of a small one. */
const blockCount = fullHashBytes / blockBytes;

/** What the fingerprint needs to know of an open file. */
export interface OpenFile {
  readonly handle: FileHandle;
  readonly file: string;
  readonly fileBytes: number;
  /** Length field and header. */
  readonly headerBytes: number;
}

/**
 * A hexadecimal SHA-256 over the files in the order given.
 *
 * - Up to 256 MiB in total: over all bytes of all files, as `cat FILES | sha256sum` gives it.
 * - Beyond: over the text `sampled safetensors\n`, then for each file its size in bytes (decimal) and a newline, and
 *   its length field and header; then over 256 blocks of 1 MiB, the first at the start and the last at the end of all
 *   files put together, the others evenly between. An edit between the blocks that keeps all sizes is not
 *   seen; training, conversion and quantisation touch every tensor and are.
 */
export async function fingerprintFiles(sources: readonly { openFile(): OpenFile }[]): Promise<string> {
  const files = sources.map((source) => source.openFile());
  const totalBytes = files.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  const hash = createHash('sha256');
  if (totalBytes <= fullHashBytes) {
    await hashRange(hash, files, 0, totalBytes);
    return hash.digest('hex');
  }
  hash.update('sampled safetensors\n');
  for (const { handle, file, fileBytes, headerBytes } of files) {
    hash.update(`${fileBytes}\n`);
    const header = new Uint8Array(headerBytes);
    await readFully(handle, file, 0, header);
    hash.update(header);
  }
  for (let block = 0; block < blockCount; block++) {
    const start = Math.floor(((totalBytes - blockBytes) / (blockCount - 1)) * block);
    await hashRange(hash, files, start, start + blockBytes);
  }
  return hash.digest('hex');
}

/** Hashes the bytes from `start` to `end` of all files put together. */
async function hashRange(hash: Hash, files: readonly OpenFile[], start: number, end: number): Promise<void> {
  const buffer = new Uint8Array(Math.min(blockBytes, end - start));
  let base = 0;
  for (const { handle, file, fileBytes } of files) {
    const stop = Math.min(end - base, fileBytes);
    for (let position = Math.max(start - base, 0); position < stop; position += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, stop - position));
      await readFully(handle, file, position, piece);
      hash.update(piece);
    }
    base += fileBytes;
  }
}
