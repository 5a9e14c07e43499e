/**
 * Listening on Deno.
 *
 * @module
 */

import { type FetchHandler, type Listener, type ListenOptions, listenError, urlOf, within } from './adapter.ts';

/** The part of Deno's API that is used here. */
interface DenoServer {
  addr: { port: number };
  finished: Promise<void>;
  shutdown(): Promise<void>;
}
interface DenoRuntime {
  serve(
    options: { hostname: string; port: number; signal: AbortSignal; onListen(): void },
    handler: (request: Request) => Response | Promise<Response>,
  ): DenoServer;
}

export async function listen(application: FetchHandler, options: ListenOptions): Promise<Listener> {
  const { Deno } = globalThis as unknown as { Deno: DenoRuntime };
  const cut = new AbortController();
  let server: DenoServer;
  try {
    server = Deno.serve(
      { hostname: options.host, port: options.port, signal: cut.signal, onListen: () => {} },
      (request) => application.fetch(request),
    );
  } catch (error) {
    throw listenError(error, options);
  }
  return {
    url: urlOf(options.host, server.addr.port),
    async close(graceSeconds = 0) {
      if (await within(graceSeconds, server.shutdown())) return;
      cut.abort();
      await server.finished;
    },
  };
}
