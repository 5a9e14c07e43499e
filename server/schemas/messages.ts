/**
 * The messages of a conversation: those that people write, and those that OpenAI's clients hand back from an answer.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { ignored, refused } from './known-fields.ts';
import { maxContentParts, maxMessages, maxNameLength, maxToolCalls } from './limits.ts';

const contentPart = z.strictObject({ type: z.literal('text'), text: z.string(), ...ignored('parts of content') });

const messageContent = z.union([z.string(), z.array(contentPart).max(maxContentParts)], {
  error: 'expected a string or an array of {"type": "text", "text": …}; other kinds of content are not supported',
});

/** A call that the history tells of. Templates see it with `arguments` as an object. */
const toolCall = z.strictObject({
  id: z.string().max(maxNameLength).nullish(),
  type: z.literal('function').nullish(),
  index: z.number().int().nullish(),
  function: z.looseObject({
    name: z.string().min(1).max(maxNameLength),
    arguments: z
      .union([z.string(), z.record(z.string(), z.unknown())], {
        error: 'expected an object, or one as a string of JSON',
      })
      .nullish(),
  }),
});

const message = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: messageContent.nullish(),
  name: z.string().min(1).max(64).nullish(),
  tool_calls: z.array(toolCall).max(maxToolCalls).nullish().openapi({
    description: 'Of an earlier answer. Refused where the chat template of the model does not write them.',
  }),
  tool_call_id: z.string().max(maxNameLength).nullish(),
  reasoning_content: z
    .string()
    .nullish()
    .openapi({ description: 'Of an earlier answer, for chat templates that write it. Not an OpenAI field.' }),
  reasoning: z.string().nullish().openapi({ description: 'Another name of `reasoning_content`' }),
  ...ignored('messages'),
  ...refused('messages'),
});

export const messages = z.array(message).min(1).max(maxMessages);

/** Variables of a chat template that a request may not set: they are what it says elsewhere. */
const ownVariables = ['messages', 'tools', 'documents', 'add_generation_prompt'];

export const chatTemplateKwargs = z
  .record(z.string().min(1).max(maxNameLength), z.unknown())
  .refine((variables) => !ownVariables.some((name) => Object.hasOwn(variables, name)), {
    error: `may not set ${ownVariables.join(', ')}`,
  })
  .nullish()
  .openapi({ description: 'More variables for the chat template, as `enable_thinking`. Not an OpenAI field.' });

export type Messages = z.infer<typeof messages>;
