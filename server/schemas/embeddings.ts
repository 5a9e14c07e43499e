/**
 * Requests and answers of /v1/embeddings.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { modelName } from './common.ts';
import { ignored, refused } from './known-fields.ts';
import { maxEmbeddingInputs, maxTokenId } from './limits.ts';

const text = z.string().min(1);
const tokens = z.array(z.number().int().min(0).max(maxTokenId)).min(1);

export const embeddingRequest = z
  .strictObject({
    model: modelName,
    input: z
      .union(
        [text, tokens, z.array(text).min(1).max(maxEmbeddingInputs), z.array(tokens).min(1).max(maxEmbeddingInputs)],
        {
          error: `expected a non-empty string, an array of token ids, or up to ${maxEmbeddingInputs} of either`,
        },
      )
      .openapi({ example: 'The film was' }),
    encoding_format: z.enum(['float', 'base64']).nullish().openapi({ default: 'float' }),
    pooling: z
      .enum(['mean', 'last'])
      .nullish()
      .openapi({ default: 'mean', description: 'Mean of all tokens, or the last one. Not an OpenAI field.' }),
    ...ignored('embeddings'),
    ...refused('embeddings'),
  })
  .openapi('EmbeddingRequest');

export const embeddingList = z
  .object({
    object: z.literal('list'),
    data: z.array(
      z.object({
        object: z.literal('embedding'),
        index: z.int(),
        embedding: z.union([
          z.array(z.number()),
          z.string().openapi({ description: 'Little-endian 32-bit floats as base64' }),
        ]),
      }),
    ),
    model: z.string(),
    usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
  })
  .openapi('EmbeddingList');

export type EmbeddingRequest = z.infer<typeof embeddingRequest>;
