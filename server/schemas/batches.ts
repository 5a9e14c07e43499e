/**
 * Batches.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { batchEndpoints, batchStatuses } from '../batches/requests.ts';
import { listOf, pageQuery, resourceId } from './common.ts';
import { metadata } from './jobs.ts';
import { refused } from './known-fields.ts';

export const batchRequest = z.strictObject({
  input_file_id: resourceId.openapi({ description: 'A file with the purpose "batch"' }),
  endpoint: z.enum(batchEndpoints),
  completion_window: z.literal('24h'),
  metadata: metadata.nullish(),
  ...refused('batches'),
});

const time = z.int().nullable();

export const batch = z
  .object({
    id: z.string(),
    object: z.literal('batch'),
    endpoint: z.string(),
    errors: z
      .object({
        object: z.literal('list'),
        data: z.array(
          z.object({
            code: z.string(),
            line: z.int().nullable(),
            message: z.string(),
            param: z.string().nullable(),
          }),
        ),
      })
      .nullable(),
    input_file_id: z.string(),
    completion_window: z.string(),
    status: z.enum(batchStatuses),
    output_file_id: z.string().nullable(),
    error_file_id: z.string().nullable(),
    created_at: z.int(),
    in_progress_at: time,
    expires_at: time,
    finalizing_at: time,
    completed_at: time,
    failed_at: time,
    expired_at: time,
    cancelling_at: time,
    cancelled_at: time,
    request_counts: z.object({ total: z.int(), completed: z.int(), failed: z.int() }),
    metadata: z.record(z.string(), z.string()).nullable(),
  })
  .openapi('Batch');

export const batchList = listOf(batch);
export const batchQuery = pageQuery;

export type Batch = z.infer<typeof batch>;
