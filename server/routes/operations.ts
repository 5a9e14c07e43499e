/**
 * For supervisors and monitoring: /health, /ready, /v1/device, /metrics.
 *
 * @module
 */

import { createRoute, z } from '@hono/zod-openapi';
import { packageVersion } from '../../src/version.ts';
import { ApiError } from '../errors.ts';
import { stoppingError } from '../generation/generate.ts';
import { errorResponse, jsonResponse } from '../schemas/common.ts';
import type { Services } from '../services.ts';
import type { Routes } from './routes.ts';

const tags = ['Operations'];

const deviceSchema = z
  .object({
    object: z.literal('device'),
    version: z.string(),
    adapter: z.object({
      vendor: z.string(),
      architecture: z.string(),
      device: z.string(),
      description: z.string(),
      software: z.boolean(),
    }),
    features: z.array(z.string()),
    memory: z.object({
      live_bytes: z.int(),
      peak_bytes: z.int(),
      by_category: z.record(z.string(), z.int()),
    }),
  })
  .openapi('Device');

const healthRoute = createRoute({
  method: 'get',
  path: '/health',
  tags,
  summary: 'Whether the process answers; needs no key',
  responses: jsonResponse(z.object({ status: z.literal('ok') }), 'It does'),
});

const readyRoute = createRoute({
  method: 'get',
  path: '/ready',
  tags,
  summary: 'Whether the GPU is open and models are loaded',
  responses: jsonResponse(
    z.object({ status: z.literal('ready'), adapter: z.string(), models: z.array(z.string()) }),
    'It is; 503 otherwise',
  ),
});

const deviceRoute = createRoute({
  method: 'get',
  path: '/v1/device',
  tags,
  summary: 'The adapter and the memory in use on it',
  responses: jsonResponse(deviceSchema, 'What the engine says of it'),
});

const metricsRoute = createRoute({
  method: 'get',
  path: '/metrics',
  tags,
  summary: 'Metrics in the text format of Prometheus',
  responses: {
    200: { description: 'The series', content: { 'text/plain': { schema: z.string() } } },
    ...errorResponse,
  },
});

export const operationRoutes: Routes = (application, services) => {
  application.openapi(healthRoute, (context) => context.json({ status: 'ok' as const }, 200));

  application.openapi(readyRoute, async (context) => {
    if (services.stopping.aborted) throw stoppingError();
    const loaded = services.models.list().filter(({ info }) => info !== undefined);
    if (loaded.length === 0) throw new ApiError(503, 'No model is loaded yet.', { code: 'not_ready' });
    const { adapter } = await services.engine.info();
    return context.json(
      { status: 'ready' as const, adapter: adapter.description, models: loaded.map(({ id }) => id) },
      200,
    );
  });

  application.openapi(deviceRoute, async (context) => {
    const { adapter, features, memory } = await services.engine.info();
    const { vendor, architecture, device, description, software } = adapter;
    const { liveBytes, peakBytes, byCategory } = memory;
    return context.json(
      {
        object: 'device' as const,
        version: packageVersion(),
        adapter: { vendor, architecture, device, description, software },
        features,
        memory: { live_bytes: liveBytes, peak_bytes: peakBytes, by_category: byCategory },
      },
      200,
    );
  });

  application.openapi(metricsRoute, async (context) => {
    await gauge(services);
    return context.text(services.metrics.text(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
  });
};

/** Sets what is not counted as it happens but looked up when it is asked for. */
async function gauge({ metrics, engine, jobs, runs, signals, models, activeGenerations }: Services): Promise<void> {
  metrics.set('subzero_generations_active', 'Completions being generated.', activeGenerations.count);
  metrics.set('subzero_jobs_waiting', 'Fine-tuning jobs in the queue.', jobs.waiting);
  metrics.set('subzero_jobs_running', 'Fine-tuning jobs being trained.', jobs.current === undefined ? 0 : 1);
  metrics.set('subzero_step_runs', 'Runs that callers step through.', runs.count);
  metrics.set('subzero_event_streams_waiting', 'Event streams with nothing to send.', signals.waiting);
  metrics.set('subzero_models_loaded', 'Models in memory.', models.list().filter(({ info }) => info).length);
  let available = 1;
  try {
    const { memory } = await engine.info();
    metrics.set('subzero_gpu_bytes', 'GPU memory in use.', memory.liveBytes);
    metrics.set('subzero_gpu_peak_bytes', 'Most GPU memory ever in use.', memory.peakBytes);
    for (const [category, bytes] of Object.entries(memory.byCategory)) {
      metrics.set('subzero_gpu_category_bytes', 'GPU memory in use by what it holds.', bytes, { category });
    }
  } catch {
    available = 0;
  }
  metrics.set('subzero_gpu_available', 'Whether the GPU answers; 0 after the device was lost.', available);
}
