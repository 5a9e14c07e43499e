/**
 * How urgent work (text generation that somebody waits for) and bulk work (training, evaluation, embeddings) share one
 * GPU.
 *
 * A submission cannot be interrupted, so bulk work is cut into pieces of a few milliseconds, and the GPU has only a few
 * of them at a time. Urgent work holds bulk work back as long as bulk work has patience. Patience is time that bulk
 * work had the GPU to itself or that its own pieces took; time during urgent work uses it up. So a request at a quiet
 * time waits only for the pieces in flight, and bulk work keeps about half of its speed however many requests come.
 *
 * @module
 */

/**
 * Largest patience in milliseconds, and largest debt (negative patience), which grows while urgent work takes more than
 * its share.
 */
const mostPatience = 1000;

/** Target time of a piece of bulk work: short where requests may come, unlimited where none can. */
const pieceMilliseconds = { shared: 5, alone: Number.POSITIVE_INFINITY };

/**
 * Pieces that the GPU has at a time, so that it does not wait for the host between two: usually, and with the largest
 * debt.
 */
const piecesInFlight = { usual: 2, most: 8 };

export class Turns {
  #shared = false;
  #urgent = 0;
  #patience = mostPatience;
  /** Time of the last update of the patience. */
  #counted = performance.now();
  /** Resolves when urgent work ends, and is then replaced. */
  #quiet: { promise: Promise<void>; resolve: () => void } | undefined;
  /** The number of times that urgent work has begun. */
  entries = 0;

  /** Whether urgent work is in progress. */
  get urgent(): boolean {
    return this.#urgent > 0;
  }

  /** Target milliseconds of a piece of bulk work. Short pieces cost a little speed; long pieces delay each request. */
  get pieceMilliseconds(): number {
    return this.#shared ? pieceMilliseconds.shared : pieceMilliseconds.alone;
  }

  /** Announces that urgent work may come at any time from now on. */
  expect(): void {
    this.#shared = true;
  }

  /** How many pieces of bulk work the GPU may have at a time. */
  get piecesInFlight(): number {
    const { usual, most } = piecesInFlight;
    const debt = this.urgent ? Math.max(0, -this.#count()) / mostPatience : 0;
    return usual + Math.round((most - usual) * debt);
  }

  /** Announces urgent work. @returns a function to call once at its end */
  enter(): () => void {
    this.#count();
    this.#urgent++;
    this.entries++;
    return () => {
      this.#count();
      if (--this.#urgent > 0) return;
      this.#quiet?.resolve();
      this.#quiet = undefined;
    };
  }

  /** Whether bulk work must not submit anything at the moment. */
  get held(): boolean {
    return this.urgent && this.#count() > 0;
  }

  /** Waits until urgent work ends or patience is used up. */
  async wait(): Promise<void> {
    if (!this.held) return;
    this.#quiet ??= deferred();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tired = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#patience);
    });
    await Promise.race([this.#quiet.promise, tired]);
    clearTimeout(timer);
  }

  /** Counts a submitted piece of bulk work. @param milliseconds estimated time of the piece on the GPU */
  ran(milliseconds: number): void {
    // The time of the piece counts twice: once as patience, and once to offset the clock, which runs meanwhile.
    if (this.urgent) this.#add(2 * milliseconds);
  }

  /** Updates and returns the patience: it grows with time without urgent work and shrinks with time during it. */
  #count(): number {
    const now = performance.now();
    const passed = now - this.#counted;
    this.#counted = now;
    return this.#add(this.urgent ? -passed : passed);
  }

  #add(milliseconds: number): number {
    this.#patience = Math.min(mostPatience, Math.max(-mostPatience, this.#patience + milliseconds));
    return this.#patience;
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((call) => {
    resolve = call;
  });
  return { promise, resolve };
}
