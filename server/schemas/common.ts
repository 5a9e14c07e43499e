/**
 * Pieces that several resources share.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { maxNameLength, maxPageSize } from './limits.ts';

const errorSchema = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .openapi('Error');

/** The answer to everything that fails. */
export const errorResponse = {
  default: { description: 'A failure', content: { 'application/json': { schema: errorSchema } } },
};

export const modelName = z.string().min(1).max(maxNameLength).openapi({ example: 'reviews-3m' });

export const resourceId = z.string().min(1).max(maxNameLength);

/** Seeds are whole numbers from 0, as the counter-based generator takes them. */
export const seed = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** A whole number in the query string. */
export function queryInteger(minimum: number, maximum: number, fallback: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, `must be a whole number from ${minimum} to ${maximum}`)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, `must be a whole number from ${minimum} to ${maximum}`)
    .optional()
    .transform((value) => value ?? fallback)
    .openapi({ type: 'integer', minimum, maximum, default: fallback });
}

/** `after` is the id of the last object of the page before. */
export const pageQuery = z.strictObject({
  after: resourceId.optional(),
  limit: queryInteger(1, maxPageSize, 20),
});

/** A list in OpenAI's shape. */
export function listOf<T extends z.ZodType>(item: T) {
  return z.object({
    object: z.literal('list'),
    data: z.array(item),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  });
}

/** Wraps one page of objects. */
export function toList<T extends { id: string }>(data: T[], hasMore: boolean) {
  return {
    object: 'list' as const,
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  };
}

/** The description of a JSON body, which is always required. */
export function jsonBody<T extends z.ZodType>(schema: T) {
  return { required: true, content: { 'application/json': { schema } } } as const;
}

/** The description of a JSON answer with status 200. */
export function jsonResponse<T extends z.ZodType>(schema: T, description: string) {
  return { 200: { description, content: { 'application/json': { schema } } }, ...errorResponse } as const;
}
