/**
 * How urgent work (text that somebody waits for) and bulk work (training, evaluation, embeddings) take turns on one GPU.
 *
 * A submission cannot be interrupted, so bulk work comes in pieces of a few milliseconds, of which the GPU has only a few at a time. While urgent
 * work is going on bulk work is held back, as long as it has patience: time that it had the GPU to itself, or that its own pieces took. A
 * request at a quiet time then waits for the pieces in flight alone, and bulk work keeps about half of its speed however much is asked for.
 *
 * @module
 */

/** Most milliseconds of patience, and of debt where urgent work has taken more than its share. */
const mostPatience = 1000;

/** How long a piece of bulk work should take: short where requests may come, endless where none can. */
const pieceMilliseconds = { shared: 5, alone: Number.POSITIVE_INFINITY };

/** Pieces that the GPU has at a time, so that it need not wait for the host between two; and with the most debt. */
const piecesInFlight = { usual: 2, most: 8 };

export class Turns {
  #shared = false;
  #urgent = 0;
  #patience = mostPatience;
  /** When the patience was counted last. */
  #counted = performance.now();
  /** Resolves, and is replaced, when urgent work ends. */
  #quiet: { promise: Promise<void>; resolve: () => void } | undefined;
  /** How often urgent work has begun. */
  entries = 0;

  /** Whether urgent work is going on. */
  get urgent(): boolean {
    return this.#urgent > 0;
  }

  /** How many milliseconds a piece of bulk work should take. Short ones cost a little speed, long ones each request a little time. */
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

  /** Announces urgent work. @returns to be called once at its end */
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

  /** Whether bulk work must not submit anything now. */
  get held(): boolean {
    return this.urgent && this.#count() > 0;
  }

  /** Waits until urgent work or the patience has ended. */
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

  /** Counts a piece of bulk work that has been submitted. @param milliseconds how long the GPU takes for it, about */
  ran(milliseconds: number): void {
    // Its own time counts as patience, and makes up for the same time of the clock, which goes on meanwhile.
    if (this.urgent) this.#add(2 * milliseconds);
  }

  /** Patience as it stands now: time passes for bulk work without urgent work, and against it otherwise. */
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
