/**
 * Listening on Node.
 *
 * @module
 */

import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { type FetchHandler, type Listener, type ListenOptions, listenError, urlOf, within } from './adapter.ts';

/** Large uploads over slow lines take longer than Node's five minutes. */
const requestTimeoutMilliseconds = 60 * 60 * 1000;

const idleSweepMilliseconds = 20;

export async function listen(application: FetchHandler, options: ListenOptions): Promise<Listener> {
  const server = createAdaptorServer({ fetch: (request) => application.fetch(request) }) as Server;
  server.requestTimeout = requestTimeoutMilliseconds;
  try {
    server.listen(options.port, options.host);
    await once(server, 'listening');
  } catch (error) {
    throw listenError(error, options);
  }
  return {
    url: urlOf(options.host, (server.address() as AddressInfo).port),
    async close(graceSeconds = 0) {
      const closed = new Promise((resolve) => server.close(resolve));
      // Kept-alive connections fall idle one by one as their answers end.
      const sweep = setInterval(() => server.closeIdleConnections(), idleSweepMilliseconds);
      if (!(await within(graceSeconds, closed))) server.closeAllConnections();
      await closed;
      clearInterval(sweep);
    },
  };
}
