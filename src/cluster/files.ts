/**
 * Files on the NATS server of a cluster: the examples of runs, and snapshots of them.
 *
 * @module
 */

import type { ObjectStore } from '@nats-io/obj';
import { SubzeroError } from '../errors.ts';
import { within } from './waiting.ts';

/** Longest wait for the next piece of a file that can be done without. */
const stallMilliseconds = 5000;

/** Bytes of a piece of a file, and what of a message the server's limit may be needed for besides. */
const filePieceBytes = 128 * 1024;
const envelopeBytes = 1024;

export class ClusterFiles {
  readonly #files: ObjectStore;
  readonly #persist: <T>(action: () => Promise<T>) => Promise<T>;
  readonly #longest: () => number | undefined;

  /**
   * @param persist does something until it works, as the server may be away
   * @param longest bytes of a message that the server takes
   */
  constructor(
    files: ObjectStore,
    persist: <T>(action: () => Promise<T>) => Promise<T>,
    longest: () => number | undefined,
  ) {
    this.#files = files;
    this.#persist = persist;
    this.#longest = longest;
  }

  /**
   * Puts a file there unless it is there.
   * @param pieces begins the file anew at each call, as the server may be away in the middle of one
   */
  async keep(name: string, pieces: () => Iterator<Uint8Array>): Promise<void> {
    await this.#persist(async () => {
      const found = await this.#files.info(name);
      if (!found || found.deleted) await this.#write(name, pieces);
    });
  }

  /** Puts a file there, in the place of one of this name. @param pieces as {@link keep} */
  async put(name: string, pieces: () => Iterator<Uint8Array>): Promise<void> {
    await this.#persist(() => this.#write(name, pieces));
  }

  async #write(name: string, pieces: () => Iterator<Uint8Array>): Promise<void> {
    // What the server takes at most is told by each that we are connected to.
    const most = this.#longest() ?? filePieceBytes;
    const piece = Math.max(1, Math.min(filePieceBytes, most - envelopeBytes));
    await this.#files.put({ name, options: { max_chunk_size: piece } }, streamOf(pieces()));
  }

  /**
   * Reads a file that can be done without: nothing is tried twice.
   * @param most bytes
   * @throws SubzeroError `io` for one that is not there, is not whole or does not come
   */
  async read(name: string, most: number): Promise<Uint8Array> {
    const failed = (why: string): SubzeroError => new SubzeroError('io', why);
    try {
      const found = await this.#files.get(name);
      if (!found) throw failed('it is not there');
      // What it becomes is told by its data.
      found.error.catch(() => {});
      const { size } = found.info;
      if (size > most) throw failed(`it has ${size} bytes; at most ${most} are read`);
      const file = new Uint8Array(size);
      let at = 0;
      const reader = found.data.getReader();
      try {
        for (;;) {
          const next = await within(reader.read(), stallMilliseconds);
          if (!next) throw failed('it does not come from the server');
          if (next.done) break;
          if (at + next.value.length > size) throw failed('it has more bytes than it should');
          file.set(next.value, at);
          at += next.value.length;
        }
      } finally {
        await reader.cancel().catch(() => {});
      }
      if (at !== size) throw failed(`it has ${at} of its ${size} bytes`);
      return file;
    } catch (error) {
      throw error instanceof SubzeroError ? error : failed((error as Error).message.split('\n')[0]!);
    }
  }

  /** The names of all files. */
  async names(): Promise<string[]> {
    return (await this.#files.list()).map(({ name }) => name);
  }

  async remove(name: string): Promise<void> {
    await this.#files.delete(name);
  }

  /**
   * Reads a file.
   * @param read called anew where the server was away in the middle of it
   * @returns nothing for a file that is not there
   */
  get<T>(name: string, read: (pieces: AsyncIterable<Uint8Array>) => Promise<T>): Promise<T | undefined> {
    return this.#persist(async () => {
      const found = await this.#files.get(name);
      if (!found) return undefined;
      const value = await read(piecesOf(found.data));
      const error = await found.error;
      if (error) throw error;
      return value;
    });
  }
}

function streamOf(pieces: Iterator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      const { done, value } = pieces.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}

async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}
