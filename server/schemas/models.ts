/**
 * Models and their tokenisers.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { modelName } from './common.ts';
import { maxTokenId } from './limits.ts';

export const model = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.int(),
    owned_by: z.string(),
    parent: z.string().nullable().openapi({ description: 'The model it was fine-tuned from' }),
    loaded: z.boolean().openapi({ description: 'A tuned model loads on its first use' }),
    context_length: z.int().nullable(),
    parameter_count: z.int().nullable(),
    architecture: z.string().nullable(),
    weight_bytes: z.int().nullable().openapi({ description: 'GPU memory of the weights that it reads' }),
    shares_weights_with: z
      .array(z.string())
      .openapi({ description: 'Loaded models that read the same copy of the weights' }),
  })
  .openapi('Model');

export const modelList = z.object({ object: z.literal('list'), data: z.array(model) });

export const modelDeleted = z.object({ id: z.string(), object: z.literal('model'), deleted: z.boolean() });

export const tokenizeRequest = z
  .strictObject({
    model: modelName,
    prompt: z.string(),
    add_special_tokens: z.boolean().default(true),
  })
  .openapi('TokenizeRequest');

export const tokenizeResponse = z.object({ count: z.int(), max_model_len: z.int(), tokens: z.array(z.int()) });

export const detokenizeRequest = z
  .strictObject({ model: modelName, tokens: z.array(z.number().int().min(0).max(maxTokenId)) })
  .openapi('DetokenizeRequest');

export const detokenizeResponse = z.object({ prompt: z.string() });

export type Model = z.infer<typeof model>;
