/**
 * Evaluations, their runs, and the results of their items.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { listOf, modelName, queryInteger, resourceId, seed } from './common.ts';
import { metadata } from './jobs.ts';
import { maxPageSize, maxTokensBound } from './limits.ts';

const anything = z.record(z.string(), z.unknown());
const name = z.string().max(256);
const text = z.string().max(1_000_000);
/** Most criteria of an evaluation, and most items that come with a request. */
const mostCriteria = 32;
const mostItems = 10_000;

export const evalRequest = z.strictObject({
  name: name.nullish(),
  metadata: metadata.nullish(),
  data_source_config: z.strictObject({
    type: z.literal('custom', { error: 'expected "custom": this server stores no completions and no logs' }),
    item_schema: anything,
    include_sample_schema: z.boolean().nullish(),
  }),
  testing_criteria: z
    .array(anything)
    .min(1)
    .max(mostCriteria)
    .openapi({ description: 'Graders; `pass_threshold` is the score from which an item passes' }),
});

export const evalUpdateRequest = z.strictObject({ name: name.nullish(), metadata: metadata.nullish() });

const counts = z.object({ total: z.int(), errored: z.int(), failed: z.int(), passed: z.int() });
const metadataAnswer = z.record(z.string(), z.string()).nullable();
const failure = z.object({ code: z.string(), message: z.string() }).nullable();

export const evaluation = z
  .object({
    id: z.string(),
    object: z.literal('eval'),
    created_at: z.int(),
    name: z.string(),
    metadata: metadataAnswer,
    data_source_config: z.object({ type: z.literal('custom'), schema: anything }),
    testing_criteria: z.array(anything),
  })
  .openapi('Eval');

const source = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('file_content'),
    content: z
      .array(z.strictObject({ item: anything, sample: anything.nullish() }))
      .min(1)
      .max(mostItems),
  }),
  z.strictObject({ type: z.literal('file_id'), id: resourceId }),
]);

const part = z.strictObject({ type: z.enum(['input_text', 'output_text']), text });
const message = z.strictObject({
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content: z.union([text, part], { error: 'expected a text; images and audio are not supported' }),
  type: z.literal('message').nullish(),
});

const samplingParameters = z.strictObject({
  max_completion_tokens: z.int().min(1).max(maxTokensBound).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  seed: seed.nullish(),
});

export const runDataSource = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('jsonl'), source }),
  z.strictObject({
    type: z.literal('completions'),
    model: modelName,
    source,
    input_messages: z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('template'), template: z.array(message).min(1).max(64) }),
      z.strictObject({ type: z.literal('item_reference'), item_reference: z.string().min(1).max(256) }),
    ]),
    sampling_params: samplingParameters.nullish(),
  }),
]);

export const evalRunRequest = z.strictObject({
  name: name.nullish(),
  metadata: metadata.nullish(),
  data_source: runDataSource,
});

export const evalRun = z
  .object({
    id: z.string(),
    object: z.literal('eval.run'),
    eval_id: z.string(),
    created_at: z.int(),
    name: z.string(),
    metadata: metadataAnswer,
    model: z.string(),
    status: z.enum(['queued', 'in_progress', 'completed', 'failed', 'canceled']),
    error: failure,
    data_source: anything,
    report_url: z.string(),
    result_counts: counts,
    per_model_usage: z.array(
      z.object({
        model_name: z.string(),
        invocation_count: z.int(),
        prompt_tokens: z.int(),
        completion_tokens: z.int(),
        cached_tokens: z.int(),
        total_tokens: z.int(),
      }),
    ),
    per_testing_criteria_results: z.array(z.object({ testing_criteria: z.string(), passed: z.int(), failed: z.int() })),
  })
  .openapi('EvalRun');

const shownMessage = z.object({ role: z.string(), content: z.string() });

export const outputItem = z
  .object({
    id: z.string(),
    object: z.literal('eval.run.output_item'),
    created_at: z.int(),
    run_id: z.string(),
    eval_id: z.string(),
    status: z.enum(['pass', 'fail', 'error']),
    datasource_item_id: z.int(),
    datasource_item: anything,
    results: z.array(
      z.object({
        name: z.string(),
        type: z.string(),
        score: z.number(),
        passed: z.boolean(),
        sample: z.null(),
        error: z.string().nullable().openapi({ description: 'Why there is no score. Not an OpenAI field.' }),
      }),
    ),
    sample: z.object({
      input: z.array(shownMessage),
      output: z.array(shownMessage),
      finish_reason: z.string().nullable(),
      model: z.string().nullable(),
      usage: z
        .object({
          prompt_tokens: z.int(),
          completion_tokens: z.int(),
          cached_tokens: z.int(),
          total_tokens: z.int(),
        })
        .nullable(),
      error: failure,
      max_completion_tokens: z.int().nullable(),
      temperature: z.number().nullable(),
      top_p: z.number().nullable(),
      seed: z.int().nullable(),
    }),
  })
  .openapi('EvalRunOutputItem');

export const deletedEval = z.object({ object: z.literal('eval.deleted'), deleted: z.boolean(), eval_id: z.string() });
export const deletedRun = z.object({
  object: z.literal('eval.run.deleted'),
  deleted: z.boolean(),
  run_id: z.string(),
});

export const evalList = listOf(evaluation);
export const evalRunList = listOf(evalRun);
export const outputItemList = listOf(outputItem);

const page = {
  after: resourceId.optional(),
  limit: queryInteger(1, maxPageSize, 20),
  order: z.enum(['asc', 'desc']).default('asc'),
};
export const evalQuery = z.strictObject({ ...page, order_by: z.enum(['created_at', 'updated_at']).optional() });
export const evalRunQuery = z.strictObject({
  ...page,
  status: z.enum(['queued', 'in_progress', 'completed', 'failed', 'canceled']).optional(),
});
export const outputItemQuery = z.strictObject({ ...page, status: z.enum(['fail', 'pass']).optional() });
