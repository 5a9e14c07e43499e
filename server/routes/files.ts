/**
 * /v1/files.
 *
 * @module
 */

import { createRoute, z } from '@hono/zod-openapi';
import { containers } from '../../src/data/containers/index.ts';
import { formats } from '../../src/data/formats.ts';
import { notFound } from '../errors.ts';
import { uploadPurposes } from '../files/library.ts';
import { stoppingError } from '../generation/generate.ts';
import { errorResponse, jsonResponse, resourceId, toList } from '../schemas/common.ts';
import { type File, file, fileDeleted, fileList, fileQuery } from '../schemas/files.ts';
import type { FileRecord } from '../store.ts';
import type { Routes } from './routes.ts';

const tags = ['Files'];
const params = z.object({ file_id: resourceId });

const createFileRoute = createRoute({
  method: 'post',
  path: '/v1/files',
  tags,
  summary: 'Upload a file to train on, of requests for a batch, or of items for an evaluation',
  description:
    'To train on (purpose "fine-tune"): ' +
    `JSON Lines, one example a line, all of one format: ${formats.map(({ shape }) => shape).join('; ')}. ` +
    'Every line is checked before the file is accepted. By the end of its name a file is another kind of table ' +
    `(${containers.flatMap(({ ends }) => ends).join(', ')}), whose columns the job says the meaning of (columns, ` +
    `template, labels).`,
  responses: jsonResponse(file, 'The file'),
});

/** Described here and not in the route, because a schema in the route would read the whole body into memory. */
const uploadDescription = {
  ...createFileRoute,
  request: {
    body: {
      required: true,
      content: {
        'multipart/form-data': {
          schema: z.object({
            file: z.string().openapi({ type: 'string', format: 'binary' }),
            purpose: z.enum(uploadPurposes),
          }),
        },
      },
    },
  },
};

const listRoute = createRoute({
  method: 'get',
  path: '/v1/files',
  tags,
  summary: 'List files',
  request: { query: fileQuery },
  responses: jsonResponse(fileList, 'One page of files'),
});

const getRoute = createRoute({
  method: 'get',
  path: '/v1/files/{file_id}',
  tags,
  summary: 'Describe a file',
  request: { params },
  responses: jsonResponse(file, 'The file'),
});

const deleteRoute = createRoute({
  method: 'delete',
  path: '/v1/files/{file_id}',
  tags,
  summary: 'Delete a file',
  request: { params },
  responses: jsonResponse(fileDeleted, 'It is gone'),
});

const contentRoute = createRoute({
  method: 'get',
  path: '/v1/files/{file_id}/content',
  tags,
  summary: 'Download a file',
  request: { params },
  responses: {
    200: { description: 'The bytes', content: { 'application/octet-stream': { schema: z.string() } } },
    ...errorResponse,
  },
});

function toFile(record: FileRecord): File {
  return {
    id: record.id,
    object: 'file',
    bytes: record.bytes,
    created_at: record.createdAt,
    filename: record.filename,
    purpose: record.purpose,
    status: 'processed',
    lines: record.lines,
  };
}

export const fileRoutes: Routes = (application, { files, store, stopping }) => {
  application.openAPIRegistry.registerPath(uploadDescription);
  application.post('/v1/files', async (context) => {
    if (stopping.aborted) throw stoppingError();
    const { raw } = context.req;
    const record = await files.receive(raw.body, context.req.header('content-type'));
    context.get('log').info('file received', { file: record.id, bytes: record.bytes, lines: record.lines });
    return context.json(toFile(record));
  });

  application.openapi(listRoute, (context) => {
    const { after, limit, order, purpose } = context.req.valid('query');
    const page = store.files({
      limit,
      order,
      ...(after === undefined ? {} : { after }),
      ...(purpose === undefined ? {} : { purpose }),
    });
    if (!page) throw notFound('file', after!, 'after');
    return context.json(toList(page.data.map(toFile), page.hasMore), 200);
  });

  application.openapi(getRoute, (context) => context.json(toFile(files.get(context.req.valid('param').file_id)), 200));

  application.openapi(deleteRoute, async (context) => {
    const id = context.req.valid('param').file_id;
    await files.delete(id);
    return context.json({ id, object: 'file' as const, deleted: true }, 200);
  });

  application.openapi(contentRoute, async (context) => {
    const record = files.get(context.req.valid('param').file_id);
    const content = await files.content(record);
    return context.body(content, 200, {
      'content-type': 'application/octet-stream',
      'content-length': String(record.bytes),
      'content-disposition': `attachment; filename*=UTF-8''${encodeRfc8187(record.filename)}`,
    });
  });
};

/** The characters that a header parameter may hold unescaped are fewer than those of a URL. */
function encodeRfc8187(text: string): string {
  return encodeURIComponent(text).replace(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
}
