/**
 * Requests and answers of /v1/completions and /v1/chat/completions.
 *
 * Three kinds of fields: those that are honoured; those that change nothing for a local server, and those that would be
 * a lie to accept (both in known-fields.ts). Anything else is an unknown field.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { adapterFields } from './adapters.ts';
import { modelName, seed } from './common.ts';
import { ignored, refused } from './known-fields.ts';
import {
  maxChoices,
  maxLegacyLogprobs,
  maxLogitBiases,
  maxPrompts,
  maxStopLength,
  maxStopSequences,
  maxTokenId,
  maxTokensBound,
  maxTopK,
  maxTopLogprobs,
} from './limits.ts';
import { chatTemplateKwargs, messages } from './messages.ts';

/** Half a surrogate pair would be found within characters and cut them. */
const stopSequence = z
  .string()
  .min(1)
  .max(maxStopLength)
  .refine((text) => !/\p{Surrogate}/u.test(text), 'must be whole characters');

const maxTokens = z.number().int().min(1).max(maxTokensBound).nullish();

/** Sampling and shape of the answer, common to both. */
const sampling = {
  model: modelName,
  ...adapterFields,
  n: z.number().int().min(1).max(maxChoices).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z
    .number()
    .int()
    .min(0)
    .max(maxTopK)
    .nullish()
    .openapi({ description: 'Sample among the k most likely tokens; 0 = all. Not an OpenAI field.' }),
  seed: seed.nullish(),
  stop: z
    .union([stopSequence, z.array(stopSequence).max(maxStopSequences)], {
      error:
        `expected a non-empty string, or up to ${maxStopSequences} of them, each at most ${maxStopLength} ` +
        `characters`,
    })
    .nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().nullish(), ...ignored('stream_options') }).nullish(),
  logit_bias: z
    .record(z.string().regex(/^\d{1,10}$/, 'token ids are whole numbers'), z.number().min(-100).max(100))
    .refine((bias) => Object.keys(bias).length <= maxLogitBiases, `at most ${maxLogitBiases} entries`)
    .nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
};

const tokens = z.array(z.number().int().min(0).max(maxTokenId)).min(1);

export const completionRequest = z
  .strictObject({
    ...sampling,
    prompt: z
      .union([z.string(), tokens, z.array(z.string()).min(1).max(maxPrompts), z.array(tokens).min(1).max(maxPrompts)], {
        error: `expected a string, an array of token ids, or up to ${maxPrompts} of either`,
      })
      .openapi({ example: 'The film was' }),
    max_tokens: z.number().int().min(0).max(maxTokensBound).nullish().openapi({
      default: 16,
      description: 'With `echo` it may be 0: nothing is generated.',
    }),
    logprobs: z.number().int().min(0).max(maxLegacyLogprobs).nullish(),
    echo: z.boolean().nullish().openapi({
      description: 'Puts the prompt in front of the text and, with `logprobs`, its tokens in front of the tokens.',
    }),
    ...ignored('completions'),
    ...refused('completions'),
  })
  .openapi('CompletionRequest');

export const chatRequest = z
  .strictObject({
    ...sampling,
    messages,
    max_tokens: maxTokens,
    max_completion_tokens: maxTokens,
    logprobs: z.boolean().nullish(),
    top_logprobs: z.number().int().min(0).max(maxTopLogprobs).nullish(),
    chat_template_kwargs: chatTemplateKwargs,
    ...ignored('chat'),
    ...refused('chat'),
  })
  .openapi('ChatCompletionRequest');

export const usage = z
  .object({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() })
  .openapi('Usage');

const finishReason = z.enum(['stop', 'length']);

const legacyLogprobs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z
    .array(z.number().nullable())
    .openapi({ description: 'null for the first token of a prompt, which nothing predicts' }),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  text_offset: z.array(z.int()).openapi({
    description: 'Where tokens begin in the text, in Unicode characters; those that share one begin at it',
  }),
});

export const completion = z
  .object({
    id: z.string(),
    object: z.literal('text_completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        text: z.string(),
        finish_reason: finishReason,
        logprobs: legacyLogprobs.nullable(),
      }),
    ),
    usage,
  })
  .openapi('Completion');

const tokenLogprob = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()).nullable() });

const chatLogprobs = z.object({
  content: z.array(tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob) })),
  refusal: z.null(),
});

export const chatCompletion = z
  .object({
    id: z.string(),
    object: z.literal('chat.completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({ role: z.literal('assistant'), content: z.string(), refusal: z.null() }),
        finish_reason: finishReason,
        logprobs: chatLogprobs.nullable(),
      }),
    ),
    usage,
  })
  .openapi('ChatCompletion');

export type CompletionRequest = z.infer<typeof completionRequest>;
export type ChatRequest = z.infer<typeof chatRequest>;
export type Usage = z.infer<typeof usage>;
export type LegacyLogprobs = z.infer<typeof legacyLogprobs>;
export type ChatLogprobs = z.infer<typeof chatLogprobs>;
export type Sampling = Pick<CompletionRequest, keyof typeof sampling>;
