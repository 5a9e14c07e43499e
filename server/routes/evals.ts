/**
 * /v1/evals: evaluations by graders, their runs over items, and what each item came to.
 *
 * @module
 */

import { createRoute, z } from '@hono/zod-openapi';
import { invalid, notFound } from '../errors.ts';
import { readCriteria } from '../evals/criteria.ts';
import type { EvalRecord, EvalRunRecord, OutputItemRecord, RunSource } from '../evals/records.ts';
import { stoppingError } from '../generation/generate.ts';
import { createIdentifier, unixTime } from '../identifiers.ts';
import { jsonBody, jsonResponse, resourceId, toList } from '../schemas/common.ts';
import {
  deletedEval,
  deletedRun,
  evalList,
  evalQuery,
  evalRequest,
  evalRun,
  evalRunList,
  evalRunQuery,
  evalRunRequest,
  evalUpdateRequest,
  evaluation,
  outputItem,
  outputItemList,
  outputItemQuery,
  type runDataSource,
} from '../schemas/evals.ts';
import type { Page } from '../store.ts';
import type { Routes } from './routes.ts';

const tags = ['Evaluations'];
const base = '/v1/evals';
const evalParams = z.object({ eval_id: resourceId });
const runParams = evalParams.extend({ run_id: resourceId });
const itemParams = runParams.extend({ output_item_id: resourceId });
const ofEval = `${base}/{eval_id}`;
const ofRun = `${ofEval}/runs/{run_id}`;

const createEvalRoute = createRoute({
  ...{ method: 'post', path: base, tags, summary: 'Say how items are judged' },
  request: { body: jsonBody(evalRequest) },
  responses: jsonResponse(evaluation, 'The evaluation'),
});
const listEvalsRoute = createRoute({
  ...{ method: 'get', path: base, tags, summary: 'List evaluations' },
  request: { query: evalQuery },
  responses: jsonResponse(evalList, 'One page of evaluations'),
});
const getEvalRoute = createRoute({
  ...{ method: 'get', path: ofEval, tags, summary: 'Describe an evaluation' },
  request: { params: evalParams },
  responses: jsonResponse(evaluation, 'The evaluation'),
});
const updateEvalRoute = createRoute({
  ...{ method: 'post', path: ofEval, tags, summary: 'Name an evaluation anew' },
  request: { params: evalParams, body: jsonBody(evalUpdateRequest) },
  responses: jsonResponse(evaluation, 'The evaluation'),
});
const deleteEvalRoute = createRoute({
  ...{ method: 'delete', path: ofEval, tags, summary: 'Delete an evaluation with its runs' },
  request: { params: evalParams },
  responses: jsonResponse(deletedEval, 'It is gone'),
});
const createRunRoute = createRoute({
  ...{ method: 'post', path: `${ofEval}/runs`, tags, summary: 'Evaluate a model, or samples that are there' },
  request: { params: evalParams, body: jsonBody(evalRunRequest) },
  responses: jsonResponse(evalRun, 'The run'),
});
const listRunsRoute = createRoute({
  ...{ method: 'get', path: `${ofEval}/runs`, tags, summary: 'List the runs of an evaluation' },
  request: { params: evalParams, query: evalRunQuery },
  responses: jsonResponse(evalRunList, 'One page of runs'),
});
const getRunRoute = createRoute({
  ...{ method: 'get', path: ofRun, tags, summary: 'Describe a run' },
  request: { params: runParams },
  responses: jsonResponse(evalRun, 'The run'),
});
const cancelRunRoute = createRoute({
  ...{ method: 'post', path: ofRun, tags, summary: 'End a run; what its items came to is kept' },
  request: { params: runParams },
  responses: jsonResponse(evalRun, 'The run'),
});
/** Clients of OpenAI from its Python client 3 on cancel here; the older ones at the run itself. */
const cancelRunAtItsOwnPathRoute = createRoute({
  ...{ method: 'post', path: `${ofRun}/cancel`, tags, summary: 'End a run; what its items came to is kept' },
  request: { params: runParams },
  responses: jsonResponse(evalRun, 'The run'),
});
const deleteRunRoute = createRoute({
  ...{ method: 'delete', path: ofRun, tags, summary: 'Delete a run with its items' },
  request: { params: runParams },
  responses: jsonResponse(deletedRun, 'It is gone'),
});
const listItemsRoute = createRoute({
  ...{ method: 'get', path: `${ofRun}/output_items`, tags, summary: 'What the items of a run came to' },
  request: { params: runParams, query: outputItemQuery },
  responses: jsonResponse(outputItemList, 'One page of items'),
});
const getItemRoute = createRoute({
  ...{ method: 'get', path: `${ofRun}/output_items/{output_item_id}`, tags, summary: 'What an item came to' },
  request: { params: itemParams },
  responses: jsonResponse(outputItem, 'The item'),
});

function toEval(record: EvalRecord): z.infer<typeof evaluation> {
  const { itemSchema, includeSampleSchema } = record;
  const properties = { item: itemSchema, ...(includeSampleSchema ? { sample: sampleSchema } : {}) };
  return {
    id: record.id,
    object: 'eval',
    created_at: record.createdAt,
    name: record.name,
    metadata: record.metadata,
    data_source_config: {
      type: 'custom',
      schema: { type: 'object', properties, required: Object.keys(properties) },
    },
    testing_criteria: record.criteria,
  };
}

const sampleSchema = { type: 'object', properties: { output_text: { type: 'string' } }, required: ['output_text'] };

function toRun(record: EvalRunRecord): z.infer<typeof evalRun> {
  return {
    id: record.id,
    object: 'eval.run',
    eval_id: record.evalId,
    created_at: record.createdAt,
    name: record.name,
    metadata: record.metadata,
    model: record.source.type === 'completions' ? record.source.model : '',
    status: record.status,
    error: record.error,
    data_source: record.request,
    report_url: `${base}/${record.evalId}/runs/${record.id}/output_items`,
    result_counts: record.counts,
    per_model_usage: Object.entries(record.usage).map(([model, { invocations, promptTokens, completionTokens }]) => ({
      model_name: model,
      invocation_count: invocations,
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      cached_tokens: 0,
      total_tokens: promptTokens + completionTokens,
    })),
    per_testing_criteria_results: Object.entries(record.results).map(([name, each]) => ({
      testing_criteria: name,
      ...each,
    })),
  };
}

function toItem(record: OutputItemRecord, { source }: EvalRunRecord): z.infer<typeof outputItem> {
  const sampling = source.type === 'completions' ? source.sampling : {};
  const number = (name: string): number | null => (sampling[name] as number | undefined) ?? null;
  const { finishReason, usage, ...sample } = record.sample;
  return {
    id: record.id,
    object: 'eval.run.output_item',
    created_at: record.createdAt,
    run_id: record.runId,
    eval_id: record.evalId,
    status: record.status,
    datasource_item_id: record.index,
    datasource_item: record.item,
    results: record.results.map((result) => ({ ...result, sample: null })),
    sample: {
      ...sample,
      finish_reason: finishReason,
      usage: usage && { ...usage, cached_tokens: 0 },
      max_completion_tokens: number('max_completion_tokens'),
      temperature: number('temperature'),
      top_p: number('top_p'),
      seed: number('seed'),
    },
  };
}

/** The source of a run as it is kept. */
function toSource(given: z.infer<typeof runDataSource>): RunSource {
  const source = given.source as RunSource['source'];
  if (given.type === 'jsonl') return { type: 'jsonl', source };
  const { model, input_messages: messages, sampling_params: sampling } = given;
  return {
    ...{ type: 'completions', model, source, sampling: { ...sampling } },
    messages:
      messages.type === 'item_reference'
        ? messages
        : {
            type: 'template',
            template: messages.template.map(({ role, content }) => ({
              role,
              content: typeof content === 'string' ? content : content.text,
            })),
          },
  };
}

interface PageQuery {
  after?: string | undefined;
  limit: number;
  order: 'asc' | 'desc';
}

/** A page of what a filter leaves of a list. @param all oldest first */
function pageOf<T extends { id: string }>(
  all: readonly T[],
  { after, limit, order }: PageQuery,
  what: string,
): Page<T> {
  const ordered = order === 'asc' ? all : all.toReversed();
  const start = after === undefined ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && start === 0) throw notFound(what, after, 'after');
  return { data: ordered.slice(start, start + limit), hasMore: start + limit < ordered.length };
}

export const evalRoutes: Routes = (application, { evals, store, models, stopping }) => {
  application.openapi(createEvalRoute, async (context) => {
    if (stopping.aborted) throw stoppingError();
    const { name, metadata, data_source_config: config, testing_criteria: criteria } = context.req.valid('json');
    await readCriteria(criteria);
    const id = createIdentifier('eval_');
    const record: EvalRecord = {
      ...{ id, createdAt: unixTime(), name: name ?? id, metadata: metadata ?? null, criteria },
      ...{ itemSchema: config.item_schema, includeSampleSchema: config.include_sample_schema ?? false },
    };
    evals.evals.insert(record);
    return context.json(toEval(record), 200);
  });

  application.openapi(listEvalsRoute, (context) => {
    const page = pageOf(evals.evals.all(), context.req.valid('query'), 'evaluation');
    return context.json(toList(page.data.map(toEval), page.hasMore), 200);
  });

  application.openapi(getEvalRoute, (context) =>
    context.json(toEval(evals.eval(context.req.valid('param').eval_id)), 200),
  );

  application.openapi(updateEvalRoute, (context) => {
    const before = evals.eval(context.req.valid('param').eval_id);
    const { name, metadata } = context.req.valid('json');
    const record = { ...before, name: name ?? before.name, metadata: metadata ?? before.metadata };
    evals.evals.update(record);
    return context.json(toEval(record), 200);
  });

  application.openapi(deleteEvalRoute, (context) => {
    const id = context.req.valid('param').eval_id;
    evals.deleteEval(id);
    return context.json({ object: 'eval.deleted' as const, deleted: true, eval_id: id }, 200);
  });

  application.openapi(createRunRoute, (context) => {
    if (stopping.aborted) throw stoppingError();
    const evalId = context.req.valid('param').eval_id;
    evals.eval(evalId);
    const { name, metadata, data_source: given } = context.req.valid('json');
    const source = toSource(given);
    if (source.type === 'completions' && !models.find(source.model)) {
      throw notFound('model', source.model, 'data_source.model');
    }
    if (source.source.type === 'file_id') checkFile(source.source.id);
    const created = evals.submit({
      ...{ evalId, name: name ?? '', metadata: metadata ?? null, source },
      request: given as Record<string, unknown>,
    });
    context.get('log').info('run of an evaluation created', { eval: evalId, run: created.id });
    return context.json(toRun(created), 200);
  });

  function checkFile(id: string): void {
    const file = store.file(id);
    const param = 'data_source.source.id';
    if (!file) throw invalid(`There is no file "${id}"; upload it with POST /v1/files.`, param, 'file_not_found');
    if (file.purpose !== 'evals')
      throw invalid(`"${id}" has the purpose "${file.purpose}"; a run needs "evals".`, param);
  }

  application.openapi(listRunsRoute, (context) => {
    const { eval_id: id } = context.req.valid('param');
    const { status, ...query } = context.req.valid('query');
    evals.eval(id);
    const runs = evals.runs.all(id).filter((run) => status === undefined || run.status === status);
    const page = pageOf(runs, query, 'run');
    return context.json(toList(page.data.map(toRun), page.hasMore), 200);
  });

  application.openapi(getRunRoute, (context) => {
    const { eval_id: evalId, run_id: id } = context.req.valid('param');
    return context.json(toRun(evals.run(evalId, id)), 200);
  });

  application.openapi(cancelRunRoute, (context) => {
    const { eval_id: evalId, run_id: id } = context.req.valid('param');
    return context.json(toRun(evals.cancel(evalId, id)), 200);
  });

  application.openapi(cancelRunAtItsOwnPathRoute, (context) => {
    const { eval_id: evalId, run_id: id } = context.req.valid('param');
    return context.json(toRun(evals.cancel(evalId, id)), 200);
  });

  application.openapi(deleteRunRoute, (context) => {
    const { eval_id: evalId, run_id: id } = context.req.valid('param');
    evals.deleteRun(evalId, id);
    return context.json({ object: 'eval.run.deleted' as const, deleted: true, run_id: id }, 200);
  });

  application.openapi(listItemsRoute, (context) => {
    const { eval_id: evalId, run_id: id } = context.req.valid('param');
    const { status, ...query } = context.req.valid('query');
    const run = evals.run(evalId, id);
    const items = evals.items
      .all(id)
      .filter((item) => status === undefined || (item.status === 'pass') === (status === 'pass'));
    const page = pageOf(items, query, 'output item');
    return context.json(
      toList(
        page.data.map((item) => toItem(item, run)),
        page.hasMore,
      ),
      200,
    );
  });

  application.openapi(getItemRoute, (context) => {
    const { eval_id: evalId, run_id: runId, output_item_id: id } = context.req.valid('param');
    const run = evals.run(evalId, runId);
    const item = evals.items.get(id);
    if (item?.runId !== runId) throw notFound('output item of this run', id, 'output_item_id');
    return context.json(toItem(item, run), 200);
  });
};
