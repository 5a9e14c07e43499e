/**
 * Fields of OpenAI's requests that this server knows and does not honour: those that change nothing of an answer made
 * here are accepted, the others are refused by name unless their value asks for nothing. Any other field is an unknown
 * one.
 *
 * @module
 */

import { isDeepStrictEqual } from 'node:util';
import { z } from '@hono/zod-openapi';
import { invalid } from '../errors.ts';

/** Name → why it has no effect here. */
type IgnoredFields = Readonly<Record<string, string>>;

/** Fields of every request for inference. */
const hosting = {
  metadata: 'labels for a log of answers that a hosted service keeps',
  prompt_cache_key: 'routes requests to a cache; here is one machine, and a cache changes no answer',
  prompt_cache_options: 'as `prompt_cache_key`',
  prompt_cache_retention: 'as `prompt_cache_key`',
  safety_identifier: 'names an end user to a hosted service',
  service_tier: 'buys another place in the queue of a hosted service',
  store: 'answers are never stored',
  user: 'names an end user to a hosted service',
} as const satisfies IgnoredFields;

/** By the place of the field: a kind of request, or a part of one. */
export const ignoredFields = {
  completions: hosting,
  embeddings: hosting,
  chat: {
    ...hosting,
    parallel_tool_calls: 'is about calls of tools, which are refused',
    reasoning_effort: 'the model decides; some templates take `chat_template_kwargs` instead',
    verbosity: 'the model decides',
  },
  stream_options: { include_obfuscation: 'pads chunks against listeners on the network' },
  messages: {
    annotations: 'sources of an answer, beside its text',
    cache_control: 'marks what a hosted service shall cache',
    parsed: 'the content once more, as the client parsed it',
    provider_specific_fields: 'notes of a client for itself',
  },
  'parts of content': {
    cache_control: 'marks what a hosted service shall cache',
    prompt_cache_breakpoint: 'as `cache_control`',
  },
} as const satisfies Record<string, IgnoredFields>;

/** A field that would change the answer. */
interface RefusedField {
  /** What this server cannot do. */
  why: string;
  /** The values that ask for nothing. */
  neutral: readonly unknown[];
}

type RefusedFields = Readonly<Record<string, RefusedField>>;

const noTools = 'calls of tools are not made here';

/** By the kind of request. */
export const refusedFields = {
  completions: {
    best_of: { why: 'all completions are returned: only the value of `n` is taken', neutral: [] },
    suffix: { why: 'the models only continue text', neutral: [''] },
  },
  embeddings: {
    dimensions: { why: 'the vectors are hidden states and have the width of the model', neutral: [] },
  },
  chat: {
    audio: { why: 'answers are text', neutral: [] },
    function_call: { why: noTools, neutral: ['none', 'auto'] },
    functions: { why: noTools, neutral: [[]] },
    modalities: { why: 'the only modality is "text"', neutral: [['text'], []] },
    moderation: { why: 'there is no moderation model', neutral: [] },
    prediction: { why: 'predicted outputs are not used', neutral: [] },
    response_format: { why: 'answers are free text: only {"type": "text"} is taken', neutral: [{ type: 'text' }] },
    tool_choice: { why: noTools, neutral: ['none', 'auto'] },
    tools: { why: noTools, neutral: [[]] },
    web_search_options: { why: 'there is no search of the web', neutral: [] },
  },
  tokenize: {
    chat_template: { why: "messages are written by the model's own template", neutral: [] },
    continue_final_message: { why: 'a conversation ends with a whole message', neutral: [false] },
    mm_processor_kwargs: { why: 'messages are text', neutral: [{}] },
    tools: { why: noTools, neutral: [[]] },
  },
  'fine-tuning jobs': {
    integrations: { why: 'nothing is reported to other services', neutral: [[]] },
  },
  'method.reinforcement': {
    response_format: {
      why: 'answers are free text; a `json_schema` grader rewards valid JSON',
      neutral: [{ type: 'text' }],
    },
  },
  'method.reinforcement.hyperparameters': {
    eval_samples: { why: 'an evaluation generates one answer to each prompt', neutral: ['auto', 1] },
    reasoning_effort: { why: 'the model decides', neutral: ['default'] },
  },
  files: {
    expires_after: { why: 'files stay until they are deleted', neutral: [] },
  },
  batches: {
    output_expires_after: { why: 'files stay until they are deleted', neutral: [] },
  },
  messages: {
    audio: { why: 'messages are text', neutral: [] },
    function_call: { why: 'write it as "tool_calls"', neutral: [] },
    refusal: { why: 'templates have no words for it; put it into "content"', neutral: [''] },
  },
} as const satisfies Record<string, RefusedFields>;

/** The ignored fields of a place as a part of its schema: any value is taken. */
export function ignored<Place extends keyof typeof ignoredFields>(place: Place) {
  const fields: (typeof ignoredFields)[Place] = ignoredFields[place];
  return anyValue(fields, (why) => `Accepted, without effect: ${why}`);
}

/** The refused fields of a place as a part of its schema; {@link refuseUnsupported} looks at their values. */
export function refused<Place extends keyof typeof refusedFields>(place: Place) {
  const fields: (typeof refusedFields)[Place] = refusedFields[place];
  return anyValue(fields, ({ why }: RefusedField) => `Refused: ${why}`);
}

function anyValue<Fields extends object>(fields: Fields, describe: (field: never) => string) {
  const schema = (field: never) =>
    z
      .unknown()
      .optional()
      .openapi({ description: describe(field) });
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, schema(field as never)])) as {
    [Name in keyof Fields]: ReturnType<typeof schema>;
  };
}

/**
 * Refuses what this server would have to pretend.
 * @param at where the fields stand in the request, with a dot behind it; empty for its top level
 * @throws ApiError 400 `unsupported` for the first refused field whose value asks for something
 */
export function refuseUnsupported(
  place: keyof typeof refusedFields,
  values: Readonly<Record<string, unknown>>,
  at = '',
): void {
  for (const [name, { why, neutral }] of Object.entries<RefusedField>(refusedFields[place])) {
    const value = values[name];
    if (value === undefined || value === null) continue;
    if (neutral.some((other) => isDeepStrictEqual(other, value))) continue;
    throw invalid(`"${at}${name}" is not supported: ${why}.`, `${at}${name}`, 'unsupported');
  }
}
