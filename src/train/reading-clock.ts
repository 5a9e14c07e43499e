/**
 * How far the reading of data is, told while it goes on: millions of rows take minutes to tokenise.
 *
 * @module
 */

/** About every second while data are read and tokenised; of a short reading there is none. */
export interface ReadingEvent {
  type: 'reading';
  /** Rows so far. */
  rows: number;
  /** Bytes of the files so far, as they lie there. */
  readBytes: number;
  /** Bytes of all files that are read. */
  totalBytes: number;
  /** Infinity where nobody can know, as of a pipe. */
  etaSeconds: number;
}

/** Time between two events. */
const intervalMilliseconds = 1000;

/** Says when the next event is due. */
export class ReadingClock {
  readonly #started = performance.now();
  #toldAt = this.#started;
  #readBytes = 0;
  #totalBytes = 0;

  /** Takes in how many bytes were read. */
  readonly onRead = (bytes: number, total: number): void => {
    this.#readBytes = Math.floor(bytes);
    this.#totalBytes = total;
  };

  /** @param lastRow the number of the row that was read last; none without a row */
  due(lastRow: number | undefined): ReadingEvent | undefined {
    const now = performance.now();
    if (now - this.#toldAt < intervalMilliseconds) return undefined;
    this.#toldAt = now;
    const readBytes = this.#readBytes;
    // Nobody knows the size of a pipe.
    const totalBytes = Math.max(readBytes, this.#totalBytes);
    const isKnown = readBytes > 0 && readBytes <= this.#totalBytes;
    const elapsedSeconds = (now - this.#started) / 1000;
    const etaSeconds = isKnown ? (elapsedSeconds * (totalBytes - readBytes)) / readBytes : Number.POSITIVE_INFINITY;
    return { type: 'reading', rows: lastRow === undefined ? 0 : lastRow + 1, readBytes, totalBytes, etaSeconds };
  }
}

/** What a generator comes to, without what it tells on the way. */
export async function outcomeOf<Result>(generator: AsyncGenerator<unknown, Result>): Promise<Result> {
  for (;;) {
    const { done, value } = await generator.next();
    if (done) return value as Result;
  }
}
