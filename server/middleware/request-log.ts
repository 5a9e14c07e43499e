/**
 * Gives each request an id, logs its end as one line, and counts it. The label is the pattern of the route, not the
 * path.
 *
 * @module
 */

import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import type { Environment } from '../environment.ts';
import { createIdentifier } from '../identifiers.ts';
import type { Services } from '../services.ts';

export function requestLog({ log, metrics }: Services): MiddlewareHandler<Environment> {
  return async (context, next) => {
    const started = performance.now();
    const requestId = createIdentifier('req_');
    context.set('requestId', requestId);
    context.set('log', log.with({ requestId }));
    await next();
    const seconds = (performance.now() - started) / 1000;
    const { status } = context.res;
    context.res.headers.set('x-request-id', requestId);
    context.res.headers.set('x-content-type-options', 'nosniff');
    // A client must not put its next request behind a body that was refused before its end.
    const refused = status >= 400 && context.req.bodyCache.text === undefined && context.req.raw.body !== null;
    if (refused) context.res.headers.set('connection', 'close');
    const labels = { method: methodLabel(context.req.method), route: routeLabel(routePath(context, -1)) };
    metrics.count('subzero_http_requests_total', 'Requests answered.', { ...labels, status: String(status) });
    metrics.observe('subzero_http_request_seconds', 'Time to the head of the response.', seconds, labels);
    context.get('log').info('request', {
      method: context.req.method,
      path: context.req.path,
      status,
      milliseconds: Math.round(seconds * 1e6) / 1000,
    });
  };
}

const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

function methodLabel(method: string): string {
  return knownMethods.has(method) ? method : 'other';
}

/** `/v1/models/:model{.+}` → `/v1/models/:model`. */
function routeLabel(pattern: string): string {
  return pattern.replaceAll(/\{[^}]*\}/g, '');
}
