/**
 * Models and their tokenisers.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { modelName } from './common.ts';
import { refused } from './known-fields.ts';
import { maxTokenId } from './limits.ts';
import { chatTemplateKwargs, messages } from './messages.ts';

export const model = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.int(),
    owned_by: z.string(),
    parent: z
      .string()
      .nullable()
      .openapi({ description: 'The model it was fine-tuned from, or that its adapter is applied to' }),
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

/** Only for what turns text into tokens and back. */
const tokenizerModel = modelName.optional().openapi({
  description: 'May be left out where all base models have one tokenizer, as a model and those tuned from it',
});

export const tokenizeRequest = z
  .strictObject({
    model: tokenizerModel,
    prompt: z.string().nullish(),
    messages: messages.nullish().openapi({ description: 'Instead of a prompt, for the chat template' }),
    add_special_tokens: z
      .boolean()
      .nullish()
      .openapi({
        description:
          'BOS and its like around the text: by default around a prompt, and not around messages, whose template ' +
          'writes them',
      }),
    return_token_strs: z.boolean().nullish().openapi({ default: false }),
    add_generation_prompt: z.boolean().nullish().openapi({ default: true, description: 'Of messages' }),
    chat_template_kwargs: chatTemplateKwargs,
    ...refused('tokenize'),
  })
  .refine(({ prompt, messages: given }) => (prompt ?? undefined) === undefined || !given, {
    error: 'give either "prompt" or "messages"',
    path: ['messages'],
  })
  .refine(({ prompt, messages: given }) => (prompt ?? undefined) !== undefined || given, {
    error: 'a prompt or messages are required',
    path: ['prompt'],
  })
  .openapi('TokenizeRequest');

export const tokenizeResponse = z.object({
  count: z.int(),
  max_model_len: z.int(),
  tokens: z.array(z.int()),
  token_strs: z
    .array(z.string())
    .nullable()
    .openapi({ description: "The vocabulary's entries, as they are written there" }),
});

export const detokenizeRequest = z
  .strictObject({ model: tokenizerModel, tokens: z.array(z.number().int().min(0).max(maxTokenId)) })
  .openapi('DetokenizeRequest');

export const detokenizeResponse = z.object({ prompt: z.string() });

export const tokenizerInfoQuery = z.strictObject({ model: tokenizerModel });

export const tokenizerInfo = z
  .object({
    model: z.string(),
    vocab_size: z.int(),
    max_model_len: z.int(),
    add_bos_token: z.boolean().openapi({ description: 'Whether BOS is put in front of texts' }),
    bos_token: z.string().nullable(),
    eos_token: z.string().nullable(),
    unk_token: z.string().nullable(),
    pad_token: z.string().nullable(),
    sep_token: z.string().nullable(),
    cls_token: z.string().nullable(),
    mask_token: z.string().nullable(),
    chat_template: z.string().nullable(),
  })
  .openapi('TokenizerInfo');

export type Model = z.infer<typeof model>;
