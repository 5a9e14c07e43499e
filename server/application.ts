/**
 * The HTTP service as a plain fetch handler: guards first, then one file of routes for each resource.
 *
 * @module
 * @example
 * ```ts
 * const services = createServices({ engine, store, configuration });
 * const application = applicationOf(services);
 * await services.start([{ id: 'reviews-3m', path: 'examples/reviews-3m' }]);
 * const response = await application.fetch(new Request('http://localhost/v1/models'));
 * ```
 */

import { OpenAPIHono } from '@hono/zod-openapi';
import { cors } from 'hono/cors';
import type { Environment } from './environment.ts';
import { ApiError, toApiError } from './errors.ts';
import { authentication } from './middleware/authentication.ts';
import { hostCheck } from './middleware/host-check.ts';
import { idempotency } from './middleware/idempotency.ts';
import { jsonBody } from './middleware/json-body.ts';
import { requestLog } from './middleware/request-log.ts';
import { batchRoutes } from './routes/batches.ts';
import { benchRoutes } from './routes/bench.ts';
import { chatRoutes } from './routes/chat.ts';
import { completionRoutes } from './routes/completions.ts';
import { dashboardFiles, dashboardRoutes } from './routes/dashboard.ts';
import { documentationRoutes } from './routes/documentation.ts';
import { embeddingRoutes } from './routes/embeddings.ts';
import { evalRoutes } from './routes/evals.ts';
import { fileRoutes } from './routes/files.ts';
import { graderRoutes } from './routes/graders.ts';
import { jobRoutes } from './routes/jobs.ts';
import { modelRoutes } from './routes/models.ts';
import { operationRoutes } from './routes/operations.ts';
import type { Application, Routes } from './routes/routes.ts';
import { runStepRoutes } from './routes/run-steps.ts';
import { runRoutes } from './routes/runs.ts';
import { tokenRoutes } from './routes/tokens.ts';
import type { Services } from './services.ts';
import { validationError } from './validation.ts';

const resources: Routes[] = [
  operationRoutes,
  modelRoutes,
  completionRoutes,
  chatRoutes,
  embeddingRoutes,
  tokenRoutes,
  fileRoutes,
  jobRoutes,
  graderRoutes,
  batchRoutes,
  evalRoutes,
  runRoutes,
  runStepRoutes,
  benchRoutes,
  documentationRoutes,
  dashboardRoutes,
];

/**
 * Open without a key: a supervisor watches /health, the dashboard has to load before it can ask for the key, and a
 * browser that opens /docs has no way to send one. The description is the same for every server of this version.
 */
const openPaths = new Set(['/health', '/docs', '/openapi.json', ...dashboardFiles.keys()]);

/** Paths whose body is too large to be read into memory. */
const streamedPaths = new Set(['/v1/files']);

/** Paths whose body is lines of JSON. */
const linesPaths = /^\/v1\/zo\/runs\/[^/]+\/trajectory$/;

/** The routes over what they share. */
export function applicationOf(services: Services): Application {
  const { configuration, store, log } = services;
  const application: Application = new OpenAPIHono<Environment>({
    defaultHook: async (result, context) => {
      if (result.success) return;
      const input = result.target === 'json' ? await context.req.json().catch(() => undefined) : undefined;
      throw validationError(result.error, input ?? (result.target === 'query' ? context.req.query() : undefined));
    },
  });

  application.onError((error, context) => {
    const answer = toApiError(error);
    if (answer.status >= 500) {
      (context.get('log') ?? log).error('request failed', { error: error.stack ?? String(error) });
    }
    return context.json(answer.body, answer.status, answer.headers);
  });
  application.notFound((context) => {
    const { method, path } = context.req;
    const shown = `${method.slice(0, 16)} ${path.slice(0, 256)}`;
    const allowed = methodsOf(application, path);
    const answer =
      allowed.length === 0
        ? new ApiError(404, `Unknown request: ${shown}.`, { code: 'unknown_url' })
        : new ApiError(405, `Unknown request: ${shown}. This path takes ${allowed.join(', ')}.`, {
            code: 'method_not_allowed',
            headers: { allow: allowed.join(', ') },
          });
    return context.json(answer.body, answer.status, answer.headers);
  });

  application.use(requestLog(services));
  application.use(hostCheck(configuration));
  if (configuration.corsOrigins.length > 0) {
    application.use(cors({ origin: configuration.corsOrigins, exposeHeaders: ['x-request-id'], maxAge: 600 }));
  }
  application.use(authentication(configuration.apiKey, openPaths));
  application.use(jsonBody(configuration.limits.bodyBytes, streamedPaths, linesPaths));
  application.use('/v1/files/*', idempotency(store));
  application.use('/v1/fine_tuning/*', idempotency(store));
  application.use('/v1/batches', idempotency(store));
  application.use('/v1/evals/*', idempotency(store));
  application.use('/v1/zo/runs', idempotency(store));

  for (const add of resources) add(application, services);
  services.loopback.connect(application);
  return application;
}

/** The methods for which there is a route with this path. */
function methodsOf(application: Application, path: string): string[] {
  return ['GET', 'POST', 'DELETE'].filter((method) =>
    // Middleware is there for all paths.
    application.router.match(method, path)[0].some(([[, route]]) => route.method === method),
  );
}
