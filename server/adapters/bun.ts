/**
 * Listening on Bun.
 *
 * @module
 */

import { type FetchHandler, type Listener, type ListenOptions, listenError, urlOf, within } from './adapter.ts';

/** The part of Bun's API that is used here. */
interface BunServer {
  port: number;
  stop(closeActiveConnections?: boolean): Promise<void>;
}
interface BunRuntime {
  serve(options: {
    hostname: string;
    port: number;
    /** Seconds; 0 = never. */
    idleTimeout: number;
    maxRequestBodySize: number;
    fetch(request: Request): Response | Promise<Response>;
  }): BunServer;
}

export async function listen(application: FetchHandler, options: ListenOptions): Promise<Listener> {
  const { Bun } = globalThis as unknown as { Bun: BunRuntime };
  let server: BunServer;
  try {
    server = Bun.serve({
      hostname: options.host,
      port: options.port,
      // Event streams may be quiet for longer than Bun's ten seconds.
      idleTimeout: 0,
      maxRequestBodySize: options.maxBodyBytes ?? Number.MAX_SAFE_INTEGER,
      fetch: (request) => application.fetch(request),
    });
  } catch (error) {
    throw listenError(error, options);
  }
  return {
    url: urlOf(options.host, server.port),
    async close(graceSeconds = 0) {
      if (!(await within(graceSeconds, server.stop()))) await server.stop(true);
    },
  };
}
