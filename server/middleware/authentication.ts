/**
 * Asks for the API key, where there is one, on every route except those that are open to everybody.
 *
 * @module
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import type { Environment } from '../environment.ts';
import { ApiError } from '../errors.ts';

/** Digests have equal length, which the constant-time comparison needs. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** @param openPaths paths that need no key */
export function authentication(
  apiKey: string | undefined,
  openPaths: ReadonlySet<string>,
): MiddlewareHandler<Environment> {
  const expected = apiKey === undefined ? undefined : digest(apiKey);
  return async (context, next) => {
    if (expected && !openPaths.has(context.req.path)) {
      const token = /^Bearer +(\S+) *$/i.exec(context.req.header('authorization') ?? '')?.[1];
      if (token === undefined || !timingSafeEqual(digest(token), expected)) {
        throw new ApiError(
          401,
          token === undefined
            ? 'This server needs its API key: send the header "Authorization: Bearer KEY".'
            : 'The API key is not the one of this server.',
          { code: 'invalid_api_key', headers: { 'www-authenticate': 'Bearer' } },
        );
      }
    }
    await next();
  };
}
