/**
 * /v1/zo/runs: runs whose steps the caller makes, their trajectories and samples. The steps are in run-steps.ts.
 *
 * @module
 */

import { createRoute, z } from '@hono/zod-openapi';
import { notFound } from '../errors.ts';
import { startGeneration, stoppingError } from '../generation/generate.ts';
import { completionPrompts } from '../generation/prompts.ts';
import { resolveMethod, toWire } from '../jobs/hyperparameters.ts';
import type { LiveRun } from '../runs/registry.ts';
import { readTrajectory, writeTrajectory } from '../runs/trajectory.ts';
import { errorResponse, jsonBody, jsonResponse, pageQuery, toList } from '../schemas/common.ts';
import { defaultMaxTokens, maxNameLength } from '../schemas/limits.ts';
import {
  runParameters as params,
  type Run,
  run,
  runDeletion,
  runList,
  runRequest,
  runSettings,
  sampleRequest,
  sampleResult,
  trajectoryQuery,
} from '../schemas/runs.ts';
import { wireName } from '../setting-names.ts';
import type { Routes } from './routes.ts';

export const tags = ['Step by step'];
const base = '/v1/zo/runs';
export const runPath = `${base}/{run_id}`;

const createRunRoute = createRoute({
  method: 'post',
  path: base,
  tags,
  summary: 'Begin a run whose steps you make',
  description:
    'It has a copy of the model in memory until it is deleted or the server stops; its trajectory rebuilds it.',
  request: { body: jsonBody(runRequest) },
  responses: jsonResponse(run, 'The run'),
});

const listRoute = createRoute({
  method: 'get',
  path: base,
  tags,
  summary: 'List runs, newest first',
  request: { query: pageQuery },
  responses: jsonResponse(runList, 'One page of runs'),
});

const getRoute = createRoute({
  method: 'get',
  path: runPath,
  tags,
  summary: 'Describe a run',
  request: { params },
  responses: jsonResponse(run, 'The run'),
});

const deleteRoute = createRoute({
  method: 'delete',
  path: runPath,
  tags,
  summary: 'End a run and free its memory',
  request: { params },
  responses: jsonResponse(runDeletion, 'It is gone'),
});

/** One JSON object a line. */
const lines = { 'application/x-ndjson': { schema: z.string() } };

const trajectoryRoute = createRoute({
  method: 'get',
  path: `${runPath}/trajectory`,
  tags,
  summary: 'The steps of a run as JSON lines: step, seed, learning_rate, projected_gradients',
  request: { params },
  responses: { 200: { description: 'A line for each step', content: lines }, ...errorResponse },
});

const replayRoute = createRoute({
  method: 'post',
  path: `${runPath}/trajectory`,
  tags,
  summary: 'Apply the steps of a trajectory, without a forward pass',
  description:
    'The first must be the next step of the run: 1 for one that has just begun. All of them are applied or none.',
  request: { params, query: trajectoryQuery, body: { required: true, content: lines } },
  responses: jsonResponse(run, 'The run as it stands now'),
});

const sampleRoute = createRoute({
  method: 'post',
  path: `${runPath}/sample`,
  tags,
  summary: 'Continue a text with the run as it stands',
  request: { params, body: jsonBody(sampleRequest) },
  responses: jsonResponse(sampleResult, 'The text'),
});

function toRun({ id, model, info, records }: LiveRun): Run {
  const wire = toWire(info.configuration);
  return {
    id,
    object: 'zo.run',
    created_at: info.createdAt,
    model,
    step: records.length,
    hyperparameters: Object.fromEntries(runSettings.map((setting) => [wireName(setting), wire[wireName(setting)]!])),
  };
}

export const runRoutes: Routes = (application, services) => {
  const { runs, models, stopping, configuration } = services;

  application.openapi(createRunRoute, async (context) => {
    if (stopping.aborted) throw stoppingError();
    const request = context.req.valid('json');
    const { id } = models.trainable(request.model);
    const hyperparameters = request.hyperparameters ?? {};
    const method = { type: 'zeroth_order' as const, hyperparameters, path: 'hyperparameters' };
    const created = await runs.create(id, resolveMethod(method, null, 0).configuration);
    return context.json(toRun(created), 200);
  });

  application.openapi(listRoute, (context) => {
    const { after, limit } = context.req.valid('query');
    const page = runs.page(limit, after);
    if (!page) throw notFound('run', after!, 'after');
    return context.json(toList(page.data.map(toRun), page.hasMore), 200);
  });

  application.openapi(getRoute, (context) => context.json(toRun(runs.get(context.req.valid('param').run_id)), 200));

  application.openapi(deleteRoute, async (context) => {
    const { run_id: id } = context.req.valid('param');
    await runs.remove(id);
    return context.json({ id, object: 'zo.run' as const, deleted: true as const }, 200);
  });

  // Its answer is no JSON, which typed routes cannot return.
  application.openAPIRegistry.registerPath(trajectoryRoute);
  application.get(`${base}/:run_id/trajectory`, (context) => {
    const { records, info } = runs.get(context.req.param('run_id').slice(0, maxNameLength));
    const text = writeTrajectory(records, info.configuration.seed);
    return context.body(text, 200, { 'content-type': 'application/x-ndjson' });
  });

  application.openapi(replayRoute, async (context) => {
    if (stopping.aborted) throw stoppingError();
    const live = runs.get(context.req.valid('param').run_id);
    const text = await context.req.text();
    const answer = await live.sequence.once(context.req.valid('query').seq_id, 'trajectory', text, async () => {
      await runs.replay(live, readTrajectory(text, live.info.configuration.seed));
      return toRun(live);
    });
    return context.json(answer, 200);
  });

  application.openapi(sampleRoute, async (context) => {
    const { id, info, sequence } = runs.get(context.req.valid('param').run_id);
    const { seq_id: seqId, prompt, ...sampling } = context.req.valid('json');
    // With a number, others may wait for the same answer.
    const client = seqId === undefined ? context.req.raw.signal : services.stopped;
    const answer = await sequence.once(seqId, 'sample', { prompt, ...sampling }, async () => {
      const prompts = completionPrompts(prompt, info, configuration.limits.promptCharacters);
      const maxTokens = sampling.max_tokens ?? defaultMaxTokens;
      const options = { prompts, sampling: { ...sampling, model: id }, maxTokens, topLogprobs: undefined };
      const generation = await startGeneration(services, { info, release: () => {} }, options, client);
      let text = '';
      let finishReason: 'stop' | 'length' = 'length';
      try {
        for await (const event of generation.events) {
          text += event.text;
          if (event.type === 'done') finishReason = event.finishReason;
        }
      } finally {
        generation.close();
      }
      return { object: 'zo.run.sample' as const, text, finish_reason: finishReason, usage: generation.usage };
    });
    return context.json(answer, 200);
  });
};
