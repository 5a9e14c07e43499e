/**
 * Files.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { listOf, queryInteger, resourceId } from './common.ts';
import { maxFilesPageSize } from './limits.ts';

export const file = z
  .object({
    id: z.string(),
    object: z.literal('file'),
    bytes: z.int(),
    created_at: z.int(),
    filename: z.string(),
    purpose: z.string(),
    status: z.enum(['uploaded', 'processed', 'error']),
    lines: z.int().openapi({ description: 'Examples in a training file. Not an OpenAI field.' }),
  })
  .openapi('File');

export const fileList = listOf(file);

export const fileDeleted = z.object({ id: z.string(), object: z.literal('file'), deleted: z.boolean() });

export const fileQuery = z.strictObject({
  after: resourceId.optional(),
  limit: queryInteger(1, maxFilesPageSize, maxFilesPageSize),
  order: z.enum(['asc', 'desc']).default('desc'),
  purpose: z.string().max(64).optional(),
});

export type File = z.infer<typeof file>;
