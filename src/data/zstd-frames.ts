/**
 * The frames of a Zstandard file, of which parallel packers and `cat` make several. They are found by their headers
 * (RFC 8878, section 3.1), as runtimes differ: Node 24 ends behind the first frame without a word, and Bun 1.4 and
 * Deno 2.9 unpack a file that was cut off to less than it held or to nothing.
 *
 * @module
 */

import { type FileHandle, open } from '../platform/index.ts';
import { rowError } from './row.ts';

const frameMagic = 0xfd2fb528;
/** Frames that hold something for others: sixteen numbers from here on. */
const skippableMagic = 0x184d2a50;
/** Bytes of the longest frame header, magic number included. */
const longestHeader = 18;

/** Where a frame lies in its file. */
interface Frame {
  start: number;
  /** The byte behind its last one. */
  end: number;
}

/**
 * The frames that hold something, each as far as the file has it.
 * @throws SubzeroError `invalid_data` behind the last one for a file that ends within it
 */
export async function* zstdFrames(path: string): AsyncGenerator<Frame> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    let start = 0;
    while (start < size) {
      const { end, isSkippable } = await frameAt(file, start);
      // What is no frame is read too: unpacking says what is wrong with it.
      if (!isSkippable) yield { start, end: Math.min(end, size) };
      if (end > size) throw rowError({ source: path }, 'the zstd file was cut off: it ends within a frame');
      start = end;
    }
  } finally {
    await file.close();
  }
}

/** Where the frame ends that begins at a place; beyond the end of the file for one that is cut off. */
async function frameAt(file: FileHandle, start: number): Promise<{ end: number; isSkippable: boolean }> {
  const header = await read(file, start, longestHeader);
  const magic = header.getUint32(0, true);
  const isSkippable = magic >>> 4 === skippableMagic >>> 4;
  if (isSkippable) return { end: start + 8 + header.getUint32(4, true), isSkippable };
  if (magic !== frameMagic) return { end: Number.POSITIVE_INFINITY, isSkippable };
  const descriptor = header.getUint8(4);
  const isSingle = (descriptor >> 5) & 1;
  const contentSizeBytes = [isSingle, 2, 4, 8][descriptor >> 6]!;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  const checksumBytes = (descriptor >> 2) & 1 ? 4 : 0;
  let place = start + 5 + (isSingle ? 0 : 1) + dictionaryBytes + contentSizeBytes;
  for (let isLast = false; !isLast; ) {
    const block = await read(file, place, 3);
    if (block.byteLength === 0) return { end: Number.POSITIVE_INFINITY, isSkippable };
    const word = block.getUint16(0, true) | (block.getUint8(2) << 16);
    isLast = (word & 1) === 1;
    // A block that repeats one byte holds that byte alone.
    const bytes = ((word >> 1) & 3) === 1 ? 1 : word >>> 3;
    place += 3 + bytes;
  }
  return { end: place + checksumBytes, isSkippable };
}

/** Bytes from a place on, with zeros behind the end of the file; empty where nothing is there. */
async function read(file: FileHandle, place: number, length: number): Promise<DataView> {
  const bytes = new Uint8Array(length);
  const { bytesRead } = await file.read(bytes, 0, length, place);
  return new DataView(bytes.buffer, 0, bytesRead === 0 ? 0 : length);
}
