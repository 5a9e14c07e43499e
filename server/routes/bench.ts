/**
 * POST /v1/bench: the kernels of this server's adapter, checked and timed, when nobody else uses it.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import type { BenchResult } from '../../src/engine/types.ts';
import { EventQueue } from '../../src/event-queue.ts';
import { ApiError, clientClosedRequest, toApiError } from '../errors.ts';
import { stoppingError } from '../generation/generate.ts';
import { type BenchAnswer, benchRequest, benchResult } from '../schemas/bench.ts';
import { errorResponse, jsonBody } from '../schemas/common.ts';
import { eventStreamContent } from '../schemas/streams.ts';
import { doneEvent, eventStreamResponse, serverSentEvent } from '../sse.ts';
import type { Routes } from './routes.ts';

const route = createRoute({
  method: 'post',
  path: '/v1/bench',
  tags: ['Operations'],
  summary: 'Check and time the kernels; ends when the connection is closed',
  request: { body: jsonBody(benchRequest) },
  responses: {
    200: {
      description: 'The measurements; 409 while a job runs, a text is generated or another benchmark runs',
      content: { 'application/json': { schema: benchResult }, 'text/event-stream': { schema: eventStreamContent } },
    },
    ...errorResponse,
  },
});

export const benchRoutes: Routes = (application, services) => {
  const { engine, jobs, activeGenerations, stopping, log } = services;
  let running = false;

  /** @throws ApiError 409 with what is in the way */
  const reserve = (): (() => void) => {
    if (stopping.aborted) throw stoppingError();
    const busy =
      (jobs.current && `the job ${jobs.current} is running; pause it first`) ||
      (activeGenerations.count > 0 && 'texts are being generated') ||
      (running && 'another benchmark is running');
    if (busy) throw new ApiError(409, `The benchmark needs an idle GPU: ${busy}.`, { code: 'conflict' });
    running = true;
    return () => {
      running = false;
    };
  };

  application.openapi(route, async (context) => {
    const { stream, ...request } = context.req.valid('json');
    const release = reserve();
    const left = new AbortController();
    const signal = AbortSignal.any([context.req.raw.signal, stopping, left.signal]);
    const events = new EventQueue<object>();
    const work = engine
      .benchKernels(
        request,
        (name, done, total) => events.push({ object: 'bench.case', case: name, done, total }),
        signal,
      )
      .catch((error) => {
        throw stopping.aborted ? stoppingError() : error;
      })
      .finally(release);
    if (!stream) return context.json(answerOf(await work), 200);
    work.then(
      (result) => {
        events.push(answerOf(result));
        events.end();
      },
      (error) => events.end(error),
    );
    async function* body(): AsyncGenerator<string> {
      try {
        for await (const event of events.drain()) yield serverSentEvent(event);
        yield doneEvent;
      } catch (error) {
        const answer = toApiError(error);
        if (answer.status === clientClosedRequest) return;
        if (answer.status >= 500) log.error('benchmark failed', { error: String(error) });
        yield serverSentEvent(answer.body);
      }
    }
    return eventStreamResponse(body(), () => left.abort()) as never;
  });
};

function answerOf({ adapter, suite, seed, disturbed, roofline, cases, wrong }: BenchResult): BenchAnswer {
  return {
    object: 'bench',
    adapter,
    suite,
    seed,
    disturbed,
    roofline: { bytes_per_second: roofline.bytesPerSecond, flops_per_second: roofline.flopsPerSecond },
    cases: cases.map((entry) => ({
      operation: entry.operation,
      name: entry.name,
      error: entry.error,
      gpu_milliseconds: entry.gpuMilliseconds ?? null,
      wall_milliseconds: entry.wallMilliseconds,
      gigaflops_per_second: entry.gigaflopsPerSecond,
      gigabytes_per_second: entry.gigabytesPerSecond,
      roofline_share: entry.rooflineShare,
    })),
    wrong,
  };
}
