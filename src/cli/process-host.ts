/**
 * The host that a real process has.
 *
 * @module
 */

import process from 'node:process';
import type { Host, InterruptSignal, Output } from './host.ts';

/**
 * The process that runs now. The engine and the server are loaded only when a command asks for them, so that
 * `--help` needs no GPU and answers at once.
 */
export function processHost(): Host {
  const interruptHandlers = new Set<(signal: InterruptSignal) => void>();
  let readerIsGone = false;
  const onStreamError = (error: NodeJS.ErrnoException) => {
    // Writes after the first that failed, a progress line for example, fail as well.
    if (readerIsGone) return;
    if (error.code !== 'EPIPE') throw error;
    readerIsGone = true;
    // The reader of a pipe may go away early (`subzero … | head`); that is no error of ours, but nobody waits for the
    // rest.
    if (interruptHandlers.size === 0) process.exit(0);
    for (const handler of interruptHandlers) handler('SIGTERM');
  };
  process.stdout.on('error', onStreamError);
  process.stderr.on('error', onStreamError);
  return {
    environment: process.env,
    standardOutput: outputOf(process.stdout),
    standardError: outputOf(process.stderr),
    async readStandardInput() {
      let text = '';
      process.stdin.setEncoding('utf8');
      for await (const chunk of process.stdin) text += chunk;
      return text;
    },
    onInterrupt(handler) {
      const signals: InterruptSignal[] = ['SIGINT', 'SIGTERM'];
      const listeners = signals.map((signal) => ({ signal, listener: () => handler(signal) }));
      for (const { signal, listener } of listeners) process.on(signal, listener);
      interruptHandlers.add(handler);
      return () => {
        interruptHandlers.delete(handler);
        for (const { signal, listener } of listeners) process.off(signal, listener);
      };
    },
    dieOf(signal) {
      // As if nobody had listened. `process.exit` would let Dawn abort the process, with a core dump, where GPU work is
      // pending.
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    },
    now: () => performance.now(),
    async openEngine(options) {
      const { openEngine } = await import('../engine/client.ts');
      return openEngine(options);
    },
    async resolveRepository(request) {
      const { resolveRepository } = await import('../hub/resolve.ts');
      return resolveRepository(request);
    },
    async startServer(request) {
      const { serve } = await import('../../server/serve.ts');
      const { models, apiKey, ...rest } = request;
      return serve({ ...rest, models: [...models], ...(apiKey === undefined ? {} : { apiKey }) });
    },
  };
}

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => {
      stream.write(text);
    },
    live: stream.isTTY === true,
    get columns() {
      return stream.columns || 100;
    },
  };
}
