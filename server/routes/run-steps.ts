/**
 * The steps of /v1/zo/runs: forward, probe, apply, step.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import type { AppliedUpdate, StepProbe } from '../../src/engine/types.ts';
import { snakeCase } from '../../src/format.ts';
import { stoppingError } from '../generation/generate.ts';
import type { LiveRun } from '../runs/registry.ts';
import { jsonBody, jsonResponse } from '../schemas/common.ts';
import {
  applyRequest,
  applyResult,
  forwardRequest,
  forwardResult,
  runParameters as params,
  probeRequest,
  probeResult,
  stepRequest,
  stepResult,
} from '../schemas/runs.ts';
import type { Routes } from './routes.ts';
import { runPath, tags } from './runs.ts';

const forwardRoute = createRoute({
  method: 'post',
  path: `${runPath}/forward`,
  tags,
  summary: 'The loss of some data under the run as it stands',
  request: { params, body: jsonBody(forwardRequest) },
  responses: jsonResponse(forwardResult, 'Loss and, of data with options, accuracy'),
});

const probeRoute = createRoute({
  method: 'post',
  path: `${runPath}/probe`,
  tags,
  summary: 'Look at some data from both sides of the directions of the next step; moves nothing',
  request: { params, body: jsonBody(probeRequest) },
  responses: jsonResponse(probeResult, 'The losses and what follows from them'),
});

const applyRoute = createRoute({
  method: 'post',
  path: `${runPath}/apply`,
  tags,
  summary: 'Move along the directions of the next step by numbers of yours',
  request: { params, body: jsonBody(applyRequest) },
  responses: jsonResponse(applyResult, 'The step that was made'),
});

const stepRoute = createRoute({
  method: 'post',
  path: `${runPath}/step`,
  tags,
  summary: 'Probe, and apply what it measured',
  request: { params, body: jsonBody(stepRequest) },
  responses: jsonResponse(stepResult, 'The losses and the step that was made'),
});

function probeFields(probe: StepProbe) {
  return {
    step: probe.step,
    loss: probe.loss,
    accuracy: probe.accuracy,
    loss_center: probe.lossCentre,
    loss_plus: probe.lossPlus,
    loss_minus: probe.lossMinus,
    projected_gradients: probe.projectedGradients,
    curvatures: probe.curvatures,
    tokens: probe.tokens,
    ...measured(probe.measures),
    stuck: probe.stuck,
  };
}

function measured(measures: Readonly<Record<string, number>> | undefined) {
  if (!measures) return {};
  return {
    measures: Object.fromEntries(Object.entries(measures).map(([name, value]) => [snakeCase(name), value])),
  };
}

function toApplied({ step, learningRate, projectedGradients, curvatures }: AppliedUpdate) {
  return {
    object: 'zo.run.apply' as const,
    step,
    learning_rate: learningRate,
    projected_gradients: projectedGradients,
    curvatures: curvatures ?? null,
  };
}

/** Names that the engine's update has on the wire, where they are given. */
function settingsOf({
  step,
  learning_rate: learningRate,
}: {
  step?: number | undefined;
  learning_rate?: number | undefined;
}) {
  return { ...(step === undefined ? {} : { step }), ...(learningRate === undefined ? {} : { learningRate }) };
}

export const runStepRoutes: Routes = (application, { runs, engine, stopping }) => {
  const live = (id: string): LiveRun => {
    if (stopping.aborted) throw stoppingError();
    return runs.get(id);
  };

  application.openapi(forwardRoute, async (context) => {
    const { id, records, sequence } = live(context.req.valid('param').run_id);
    const { seq_id: seqId, data } = context.req.valid('json');
    // With a number, others may wait for the same answer.
    const signal = seqId === undefined ? context.req.raw.signal : undefined;
    const answer = await sequence.once(seqId, 'forward', data, async () => {
      const step = records.length;
      const { loss, accuracy, f1, exactMatch, examples, tokens, measures } = await engine.forwardRun(id, data, signal);
      const scores = { loss, accuracy, f1, exact_match: exactMatch };
      return { object: 'zo.run.forward' as const, step, ...scores, examples, tokens, ...measured(measures) };
    });
    return context.json(answer, 200);
  });

  application.openapi(probeRoute, async (context) => {
    const { id, sequence } = live(context.req.valid('param').run_id);
    const { seq_id: seqId, ...request } = context.req.valid('json');
    const answer = await sequence.once(seqId, 'probe', request, async () => {
      const probe = await engine.probeRun(id, request.data, request.step);
      return { object: 'zo.run.probe' as const, ...probeFields(probe) };
    });
    return context.json(answer, 200);
  });

  application.openapi(applyRoute, async (context) => {
    const run = live(context.req.valid('param').run_id);
    const { seq_id: seqId, ...request } = context.req.valid('json');
    const answer = await run.sequence.once(seqId, 'apply', request, async () => {
      const { projected_gradients: projectedGradients, curvatures } = request;
      const update = { projectedGradients, ...(curvatures ? { curvatures } : {}), ...settingsOf(request) };
      return toApplied(await runs.apply(run, update));
    });
    return context.json(answer, 200);
  });

  application.openapi(stepRoute, async (context) => {
    const run = live(context.req.valid('param').run_id);
    const { seq_id: seqId, ...request } = context.req.valid('json');
    const answer = await run.sequence.once(seqId, 'step', request, async () => {
      const { probe, record } = await runs.step(run, request.data, settingsOf(request));
      return { object: 'zo.run.step' as const, ...probeFields(probe), learning_rate: record.learningRate };
    });
    return context.json(answer, 200);
  });
};
