/**
 * Ctrl-C: the first asks for an orderly end, the second ends at once.
 *
 * @module
 */

import type { Host, InterruptSignal } from './host.ts';

/** One key press can reach the process several times: from the terminal, from npm, from the launcher. */
const sameKeyPressMilliseconds = 500;

/** Exit code by signal, 128 + its number as shells have it. */
const exitCodes: Record<InterruptSignal, number> = { SIGINT: 130, SIGTERM: 143 };

/**
 * Runs `action` with a signal that the first Ctrl-C (or request to terminate) aborts; a second one ends the process.
 * @param notice is called at the first one, to say what happens now
 * @returns what `action` returned, and the exit code that the interruption calls for (0 = there was none)
 */
export async function interruptible<Result>(
  host: Pick<Host, 'onInterrupt' | 'dieOf' | 'now'>,
  notice: () => void,
  action: (signal: AbortSignal) => Promise<Result>,
): Promise<{ result: Result; exitCode: number }> {
  const controller = new AbortController();
  let exitCode = 0;
  let firstAt = 0;
  const stop = host.onInterrupt((signal) => {
    if (exitCode === 0) {
      exitCode = exitCodes[signal];
      firstAt = host.now();
      notice();
      controller.abort();
    } else if (host.now() - firstAt > sameKeyPressMilliseconds) {
      host.dieOf(signal);
    }
  });
  try {
    const result = await action(controller.signal);
    return { result, exitCode };
  } finally {
    stop();
  }
}
