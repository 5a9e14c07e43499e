/**
 * Keeps web pages away from a server on the visitor's own machine, in two ways.
 *
 * DNS rebinding: a page whose name suddenly resolves to this machine still sends its own name in `Host`, so only IP
 * addresses, `localhost` and configured names are served. Cross-site requests: a browser names the page in `Origin`, so
 * only the server's own pages and configured origins are served.
 *
 * @module
 */

import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { MiddlewareHandler } from 'hono';
import type { ServerConfiguration } from '../configuration.ts';
import type { Environment } from '../environment.ts';
import { ApiError } from '../errors.ts';

/** The name in a `Host` header: without port, brackets and case. */
function nameOf(host: string): string {
  return host
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
}

export function hostCheck(configuration: ServerConfiguration): MiddlewareHandler<Environment> {
  const { host, allowedHosts, corsOrigins } = configuration;
  const names = new Set(['localhost', hostname(), host, ...allowedHosts].map(nameOf));
  return async (context, next) => {
    const given = context.req.header('host') ?? new URL(context.req.url).host;
    const name = nameOf(given);
    if (!names.has(name) && isIP(name) === 0) {
      throw new ApiError(
        403,
        `This server does not answer to the name "${given.slice(0, 256)}". Call it by address or as localhost, or ` +
          `start it with that name as an allowed host.`,
        { code: 'host_not_allowed' },
      );
    }
    const origin = context.req.header('origin');
    if (origin !== undefined && !corsOrigins.includes('*') && !corsOrigins.includes(origin)) {
      const own = URL.canParse(origin) && new URL(origin).host === given.toLowerCase();
      if (!own) {
        throw new ApiError(403, `Web pages of the origin "${origin.slice(0, 256)}" may not call this server.`, {
          code: 'origin_not_allowed',
        });
      }
    }
    await next();
  };
}
