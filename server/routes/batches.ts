/**
 * /v1/batches: files of requests, answered when there is time.
 *
 * @module
 */

import { createRoute, z } from '@hono/zod-openapi';
import type { BatchRecord } from '../batches/runner.ts';
import { invalid, notFound } from '../errors.ts';
import { stoppingError } from '../generation/generate.ts';
import { type Batch, batch, batchList, batchQuery, batchRequest } from '../schemas/batches.ts';
import { jsonBody, jsonResponse, resourceId, toList } from '../schemas/common.ts';
import { refuseUnsupported } from '../schemas/known-fields.ts';
import type { Routes } from './routes.ts';

const tags = ['Batches'];
const params = z.object({ batch_id: resourceId });

const createBatchRoute = createRoute({
  method: 'post',
  path: '/v1/batches',
  tags,
  summary: 'Have the requests of a file answered',
  description:
    'Lines {"custom_id", "method": "POST", "url", "body"}, whose url is the endpoint. Batches run one after another.',
  request: { body: jsonBody(batchRequest) },
  responses: jsonResponse(batch, 'The batch'),
});

const listRoute = createRoute({
  method: 'get',
  path: '/v1/batches',
  tags,
  summary: 'List batches, newest first',
  request: { query: batchQuery },
  responses: jsonResponse(batchList, 'One page of batches'),
});

const getRoute = createRoute({
  method: 'get',
  path: '/v1/batches/{batch_id}',
  tags,
  summary: 'Describe a batch',
  request: { params },
  responses: jsonResponse(batch, 'The batch'),
});

const cancelRoute = createRoute({
  method: 'post',
  path: '/v1/batches/{batch_id}/cancel',
  tags,
  summary: 'End a batch; what has been answered is kept',
  request: { params },
  responses: jsonResponse(batch, 'The batch'),
});

function toBatch(record: BatchRecord): Batch {
  const { times, problems } = record;
  const at = (status: keyof typeof times): number | null => times[status] ?? null;
  return {
    id: record.id,
    object: 'batch',
    endpoint: record.endpoint,
    errors: problems.length === 0 ? null : { object: 'list', data: problems },
    input_file_id: record.inputFile,
    completion_window: '24h',
    status: record.status,
    output_file_id: record.outputFile,
    error_file_id: record.errorFile,
    created_at: record.createdAt,
    in_progress_at: at('in_progress'),
    expires_at: record.expiresAt,
    finalizing_at: at('finalizing'),
    completed_at: at('completed'),
    failed_at: at('failed'),
    expired_at: at('expired'),
    cancelling_at: at('cancelling'),
    cancelled_at: at('cancelled'),
    request_counts: record.counts,
    metadata: record.metadata,
  };
}

export const batchRoutes: Routes = (application, { batches, store, stopping }) => {
  application.openapi(createBatchRoute, (context) => {
    if (stopping.aborted) throw stoppingError();
    const request = context.req.valid('json');
    refuseUnsupported('batches', request);
    const { input_file_id: id, endpoint, metadata = null } = request;
    const file = store.file(id);
    if (!file)
      throw invalid(`There is no file "${id}"; upload it with POST /v1/files.`, 'input_file_id', 'file_not_found');
    if (file.purpose !== 'batch') {
      throw invalid(`"${id}" has the purpose "${file.purpose}"; a batch needs "batch".`, 'input_file_id');
    }
    const created = batches.submit({ endpoint, inputFile: id, metadata });
    context.get('log').info('batch created', { batch: created.id, endpoint });
    return context.json(toBatch(created), 200);
  });

  application.openapi(listRoute, (context) => {
    const { after, limit } = context.req.valid('query');
    const page = batches.page({ limit, ...(after === undefined ? {} : { after }) });
    if (!page) throw notFound('batch', after!, 'after');
    return context.json(toList(page.data.map(toBatch), page.hasMore), 200);
  });

  application.openapi(getRoute, (context) =>
    context.json(toBatch(batches.get(context.req.valid('param').batch_id)), 200),
  );

  application.openapi(cancelRoute, (context) =>
    context.json(toBatch(batches.cancel(context.req.valid('param').batch_id)), 200),
  );
};
