/**
 * /v1/fine_tuning/jobs with events and checkpoints.
 *
 * @module
 */

import { createRoute, z } from '@hono/zod-openapi';
import { type Grader, judgesOf } from '../../src/graders/index.ts';
import { objectives } from '../../src/settings/objectives.ts';
import { invalid, notFound } from '../errors.ts';
import { checkFirstRow } from '../files/first-row.ts';
import { trainingPurpose } from '../files/library.ts';
import { stoppingError } from '../generation/generate.ts';
import { readGrader } from '../generation/graders.ts';
import type { ClusterReport } from '../jobs/cluster.ts';
import { jobEventStream, parseEventId, toEvent } from '../jobs/event-stream.ts';
import { type MethodRequest, ownNames, resolveMethod, toWire } from '../jobs/hyperparameters.ts';
import { isFinished, newJob } from '../jobs/runner.ts';
import { errorResponse, jsonBody, jsonResponse, pageQuery, resourceId, toList } from '../schemas/common.ts';
import {
  type Checkpoint,
  checkpointList,
  eventQuery,
  type Job,
  type JobRequest,
  job,
  jobEventList,
  jobList,
  jobQuery,
  jobRequest,
} from '../schemas/jobs.ts';
import { refuseUnsupported } from '../schemas/known-fields.ts';
import { eventStreamContent } from '../schemas/streams.ts';
import type { CheckpointRecord, JobRecord, Store } from '../store.ts';
import type { Routes } from './routes.ts';

const tags = ['Fine-tuning'];
const base = '/v1/fine_tuning/jobs';
const params = z.object({ fine_tuning_job_id: resourceId });

const createJobRoute = createRoute({
  method: 'post',
  path: base,
  tags,
  summary: 'Start a fine-tuning job',
  description:
    'Method "zeroth_order" exposes every setting of the training; "supervised", "dpo" and "reinforcement" are ' +
    'accepted and train with the defaults of SubZero. Jobs run one after another. An Idempotency-Key header makes a ' +
    'repeated request return the same job.',
  request: { body: jsonBody(jobRequest) },
  responses: jsonResponse(job, 'The job'),
});

const listRoute = createRoute({
  method: 'get',
  path: base,
  tags,
  summary: 'List jobs, newest first',
  request: { query: jobQuery },
  responses: jsonResponse(jobList, 'One page of jobs'),
});

const getRoute = createRoute({
  method: 'get',
  path: `${base}/{fine_tuning_job_id}`,
  tags,
  summary: 'Describe a job',
  request: { params },
  responses: jsonResponse(job, 'The job'),
});

const actions = {
  cancel: 'Cancel a job after its current step',
  pause: 'Pause a job after its current step',
  resume: 'Go on with a paused or failed job where its journal ends',
};

const actionRoute = (action: keyof typeof actions) =>
  createRoute({
    method: 'post',
    path: `${base}/{fine_tuning_job_id}/${action}`,
    tags,
    summary: actions[action],
    request: { params },
    responses: jsonResponse(job, 'The job'),
  });

const eventsRoute = createRoute({
  method: 'get',
  path: `${base}/{fine_tuning_job_id}/events`,
  tags,
  summary: 'What happened in a job',
  description:
    'A page of events, newest first; or, with `Accept: text/event-stream` or `?stream=true`, all of them in order as ' +
    'server-sent events until the job ends. `Last-Event-ID` goes on after the event it names.',
  request: { params, query: eventQuery },
  responses: {
    200: {
      description: 'One page of events, or the stream',
      content: { 'application/json': { schema: jobEventList }, ...eventStreamContent },
    },
    204: { description: 'The job has ended and Last-Event-ID names its last event' },
    ...errorResponse,
  },
});

const checkpointsRoute = createRoute({
  method: 'get',
  path: `${base}/{fine_tuning_job_id}/checkpoints`,
  tags,
  summary: 'Checkpoints of a job; each can be named as a model',
  request: { params, query: pageQuery },
  responses: jsonResponse(checkpointList, 'One page of checkpoints'),
});

function toJob(record: JobRecord, cluster?: ClusterReport): Job {
  const { configuration, grader } = record;
  const graded = grader ? { grader: { ...grader } } : {};
  const hyperparameters = {
    n_epochs: record.epochs ?? 'auto',
    batch_size: configuration.batchSize,
    learning_rate_multiplier: record.learningRateMultiplier ?? 'auto',
  };
  return {
    id: record.id,
    object: 'fine_tuning.job',
    created_at: record.createdAt,
    finished_at: record.finishedAt,
    status: record.status,
    model: record.model,
    fine_tuned_model: record.fineTunedModel,
    organization_id: 'local',
    training_file: record.trainingFile,
    validation_file: record.validationFile,
    result_files: record.resultFiles,
    hyperparameters,
    method:
      record.method === 'zeroth_order'
        ? { type: 'zeroth_order', zeroth_order: { ...graded, hyperparameters: toWire(configuration) } }
        : {
            type: record.method,
            [record.method]: {
              ...graded,
              hyperparameters: { ...hyperparameters, ...ownNames(record.method, configuration) },
            },
          },
    seed: configuration.seed,
    trained_tokens: record.trainedTokens,
    estimated_finish: record.estimatedFinish,
    error: record.error,
    integrations: [],
    metadata: record.metadata,
    progress: { step: record.step, total_steps: configuration.steps, train_loss: record.trainLoss },
    ...(cluster ? { cluster: toCluster(cluster) } : {}),
  };
}

function toCluster({ stepsPerSecond, bytesPerStep, members }: ClusterReport): NonNullable<Job['cluster']> {
  return {
    steps_per_second: stepsPerSecond,
    bytes_per_step: bytesPerStep,
    workers: members.map(({ here, stepsPerSecond, tokensPerSecond, waitingShare, bytesPerStep, ...rest }) => ({
      ...{ ...rest, leader: here, steps_per_second: stepsPerSecond, tokens_per_second: tokensPerSecond },
      ...{ waiting_share: waitingShare, bytes_per_step: bytesPerStep },
    })),
  };
}

function toCheckpoint(record: CheckpointRecord, best: boolean): Checkpoint {
  return {
    id: record.id,
    object: 'fine_tuning.job.checkpoint',
    created_at: record.createdAt,
    fine_tuned_model_checkpoint: record.model,
    fine_tuning_job_id: record.jobId,
    step_number: record.step,
    metrics: record.metrics,
    best,
  };
}

/** No job has more: one per step. */
const mostCheckpoints = 10_000_000;

/** Id of the checkpoint with the lowest validation loss; of equal ones the first. */
function bestCheckpoint(store: Store, jobId: string): string | undefined {
  let best: CheckpointRecord | undefined;
  for (const record of store.checkpoints(jobId, { limit: mostCheckpoints })?.data ?? []) {
    // Newest first.
    const loss = record.metrics.valid_loss;
    if (loss !== undefined && loss <= (best?.metrics.valid_loss ?? Number.POSITIVE_INFINITY)) best = record;
  }
  return best?.id;
}

/** The method of a request, or the one that its absence stands for. */
function methodOf(request: JobRequest): MethodRequest {
  const { method, hyperparameters } = request;
  if (method?.type === 'zeroth_order') {
    if (hyperparameters) {
      throw invalid('Give the hyperparameters in method.zeroth_order.hyperparameters.', 'hyperparameters');
    }
    return {
      type: 'zeroth_order',
      hyperparameters: method.zeroth_order?.hyperparameters ?? {},
      path: 'method.zeroth_order.hyperparameters',
    };
  }
  if (method?.type === 'dpo') {
    if (hyperparameters) throw invalid('Give the hyperparameters in method.dpo.hyperparameters.', 'hyperparameters');
    return { type: 'dpo', hyperparameters: method.dpo?.hyperparameters ?? {}, path: 'method.dpo.hyperparameters' };
  }
  if (method?.type === 'reinforcement') {
    const path = 'method.reinforcement.hyperparameters';
    if (hyperparameters) throw invalid(`Give the hyperparameters in ${path}.`, 'hyperparameters');
    return { type: 'reinforcement', hyperparameters: method.reinforcement.hyperparameters ?? {}, path };
  }
  const own = method?.supervised?.hyperparameters;
  return own
    ? { type: 'supervised', hyperparameters: own, path: 'method.supervised.hyperparameters' }
    : { type: 'supervised', hyperparameters: hyperparameters ?? {}, path: 'hyperparameters' };
}

/** The grader of a request, checked, and where it stands. */
async function graderOf({ method }: JobRequest): Promise<{ grader: Grader; path: string } | undefined> {
  if (method?.type !== 'zeroth_order' && method?.type !== 'reinforcement') return undefined;
  const given = method.type === 'reinforcement' ? method.reinforcement.grader : method.zeroth_order?.grader;
  if (!given) return undefined;
  const path = `method.${method.type}.grader`;
  return { grader: await readGrader(given, path), path };
}

export const jobRoutes: Routes = (application, services) => {
  const { files, jobs, models, store, stopping } = services;

  /** A file that can be trained on. */
  const trainingData = (id: string, param: string) => {
    const file = store.file(id);
    if (!file) throw invalid(`There is no file "${id}"; upload it with POST /v1/files.`, param, 'file_not_found');
    if (file.purpose !== trainingPurpose)
      throw invalid(`"${id}" has the purpose "${file.purpose}"; it is not a training file.`, param);
    return { lines: file.lines, filename: file.filename, path: files.path(file) };
  };

  application.openapi(createJobRoute, async (context) => {
    if (stopping.aborted) throw stoppingError();
    const request = context.req.valid('json');
    refuseUnsupported('fine-tuning jobs', request);
    if (request.method?.type === 'reinforcement') {
      const { reinforcement } = request.method;
      const place = 'method.reinforcement';
      refuseUnsupported(place, reinforcement, `${place}.`);
      const hyperparameters = `${place}.hyperparameters` as const;
      refuseUnsupported(hyperparameters, reinforcement.hyperparameters ?? {}, `${hyperparameters}.`);
    }
    models.trainable(request.model);
    const training = trainingData(request.training_file, 'training_file');
    const validation = request.validation_file ? trainingData(request.validation_file, 'validation_file') : undefined;
    const method = methodOf(request);
    const resolved = resolveMethod(method, request.seed ?? null, training.lines);
    const graded = await graderOf(request);
    for (const { model, field } of graded ? judgesOf(graded.grader) : []) {
      // Others are not loaded while a job trains.
      if (models.find(model)?.base !== null) {
        throw invalid(`The grader asks "${model}", which is no base model of this server.`, `${graded!.path}.${field}`);
      }
    }
    if (graded && resolved.configuration.objective === 'auto') resolved.configuration.objective = 'reward';
    if ((objectives[resolved.configuration.objective].generates ?? false) !== (graded !== undefined)) {
      throw invalid(
        'The objective "reward" needs a grader, and no other objective asks one.',
        `method.${method.type}.grader`,
      );
    }
    await checkFirstRow(training, resolved.configuration, 'training_file');
    if (validation) await checkFirstRow(validation, resolved.configuration, 'validation_file');
    const created = jobs.submit(
      newJob({
        model: request.model,
        trainingFile: request.training_file,
        validationFile: request.validation_file ?? null,
        suffix: request.suffix ?? null,
        metadata: request.metadata ?? null,
        method: method.type,
        ...resolved,
        ...(graded ? { grader: graded.grader } : {}),
      }),
    );
    context.get('log').info('job created', { job: created.id, model: created.model });
    return context.json(toJob(created), 200);
  });

  application.openapi(listRoute, (context) => {
    const { after, limit } = context.req.valid('query');
    const page = store.jobs({ limit, ...(after === undefined ? {} : { after }) });
    if (!page) throw notFound('fine-tuning job', after!, 'after');
    return context.json(
      toList(
        page.data.map((record) => toJob(record, jobs.clusterOf(record.id))),
        page.hasMore,
      ),
      200,
    );
  });

  application.openapi(getRoute, (context) =>
    context.json(
      toJob(
        jobs.get(context.req.valid('param').fine_tuning_job_id),
        jobs.clusterOf(context.req.valid('param').fine_tuning_job_id),
      ),
      200,
    ),
  );

  application.openapi(actionRoute('cancel'), async (context) =>
    context.json(toJob(await jobs.cancel(context.req.valid('param').fine_tuning_job_id)), 200),
  );
  application.openapi(actionRoute('pause'), async (context) =>
    context.json(toJob(await jobs.pause(context.req.valid('param').fine_tuning_job_id)), 200),
  );
  application.openapi(actionRoute('resume'), (context) => {
    if (stopping.aborted) throw stoppingError();
    return context.json(toJob(jobs.resume(context.req.valid('param').fine_tuning_job_id)), 200);
  });

  application.openapi(eventsRoute, (context) => {
    const { fine_tuning_job_id: id } = context.req.valid('param');
    const { after, limit, order, stream } = context.req.valid('query');
    const { status } = jobs.get(id);
    if (stream === 'true' || acceptsEventStream(context.req.header('accept'))) {
      const lastId = context.req.header('last-event-id') ?? after;
      const position = lastId === undefined ? 0 : parseEventId(lastId, 'Last-Event-ID');
      const nothingLeft = store.events(id, { after: position, limit: 1, order: 'asc' }).data.length === 0;
      // 204 tells an EventSource not to connect again.
      if (lastId !== undefined && isFinished(status) && nothingLeft) return context.body(null, 204);
      return jobEventStream(services, id, position, context.req.raw.signal);
    }
    const position = after === undefined ? {} : { after: parseEventId(after, 'after') };
    const page = store.events(id, { ...position, limit, order });
    return context.json(toList(page.data.map(toEvent), page.hasMore), 200);
  });

  application.openapi(checkpointsRoute, (context) => {
    const { fine_tuning_job_id: id } = context.req.valid('param');
    const { after, limit } = context.req.valid('query');
    jobs.get(id);
    const page = store.checkpoints(id, { limit, ...(after === undefined ? {} : { after }) });
    if (!page) throw notFound('checkpoint', after!, 'after');
    const best = bestCheckpoint(store, id);
    return context.json(
      toList(
        page.data.map((record) => toCheckpoint(record, record.id === best)),
        page.hasMore,
      ),
      200,
    );
  });
};

function acceptsEventStream(accept: string | undefined): boolean {
  return accept?.split(',').some((type) => type.trim().toLowerCase().startsWith('text/event-stream')) ?? false;
}
