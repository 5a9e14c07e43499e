/**
 * One line of progress: rewritten in place on a terminal, repeated every few seconds anywhere else.
 *
 * @module
 */

import type { Host } from './host.ts';

/** Fast enough to look alive, slow enough not to cost time. */
const liveIntervalMilliseconds = 100;
/** A log file should be readable. */
const plainIntervalMilliseconds = 5000;

export interface Progress {
  /** Shows the state of things; may be skipped if the last one was just shown. */
  update(text: string): void;
  /** Writes a line that stays, above the progress line. */
  line(text: string): void;
  /** Leaves the last state on the screen and moves on to the next line. */
  end(): void;
}

/** Progress on standard error. A quiet one drops updates and keeps lines. */
export function createProgress(host: Pick<Host, 'standardError' | 'now'>, quiet = false): Progress {
  const output = host.standardError;
  const interval = output.live ? liveIntervalMilliseconds : plainIntervalMilliseconds;
  let shownAt = Number.NEGATIVE_INFINITY;
  let latest: string | undefined;
  let shown: string | undefined;

  const draw = (text: string) => {
    // One column stays free: a full line would wrap, and a wrapped line cannot be rewritten.
    output.write(output.live ? `\r${truncate(text, output.columns - 1)}\x1b[K` : `${text}\n`);
    shown = text;
    shownAt = host.now();
  };
  return {
    update(text) {
      if (quiet) return;
      latest = text;
      if (host.now() - shownAt >= interval) draw(text);
    },
    line(text) {
      if (output.live && shown !== undefined) output.write('\r\x1b[K');
      // A log is read from top to bottom: what led to this line stands above it.
      if (!output.live && latest !== undefined && latest !== shown) draw(latest);
      output.write(`${text}\n`);
      if (output.live && shown !== undefined) draw(latest!);
    },
    end() {
      if (latest === undefined) return;
      if (shown !== latest) draw(latest);
      if (output.live) output.write('\n');
      latest = undefined;
      shown = undefined;
      shownAt = Number.NEGATIVE_INFINITY;
    },
  };
}

function truncate(text: string, columns: number): string {
  const characters = [...text];
  return characters.length <= columns ? text : `${characters.slice(0, Math.max(0, columns - 1)).join('')}…`;
}
