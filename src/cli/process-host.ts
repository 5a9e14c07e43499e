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
  // The reader of a pipe may go away early (`subzero … | head`); that is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
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
      return () => {
        for (const { signal, listener } of listeners) process.off(signal, listener);
      };
    },
    exit: (code) => process.exit(code),
    now: () => performance.now(),
    async openEngine(options) {
      const { openEngine } = await import('../engine/client.ts');
      return openEngine(options);
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
