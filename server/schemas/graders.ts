/**
 * Graders, to be tried out on a sample.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';

const grader = z.record(z.string(), z.unknown()).openapi({
  description:
    "string_check, text_similarity, score_model, label_model or multi as in OpenAI's API; besides json_schema " +
    '{"name", "schema"} and javascript {"name", "source"}, a program with a function grade(sample, item)',
});

export const graderValidateRequest = z.strictObject({ grader });
export const graderValidation = z.object({ grader: z.record(z.string(), z.unknown()) });

export const graderRunRequest = z.strictObject({
  grader,
  model_sample: z.string().max(1_000_000),
  item: z.unknown().optional(),
});

const flag = z.boolean();
const details = z.string().nullable();

export const graderRun = z.object({
  reward: z.number(),
  sub_rewards: z.record(z.string(), z.number()),
  model_grader_token_usage_per_model: z.record(z.string(), z.int()),
  metadata: z.object({
    name: z.string(),
    type: z.string(),
    execution_time: z.number().openapi({ description: 'Seconds' }),
    scores: z.record(z.string(), z.number()),
    sampled_model_name: z.string().nullable(),
    token_usage: z.int().nullable(),
    errors: z.object({
      formula_parse_error: flag,
      invalid_variable_error: flag,
      model_grader_parse_error: flag,
      model_grader_refusal_error: flag,
      model_grader_server_error: flag,
      model_grader_server_error_details: details,
      other_error: flag,
      python_grader_runtime_error: flag.openapi({ description: 'Of a program, which is JavaScript here' }),
      python_grader_runtime_error_details: details,
      python_grader_server_error: flag,
      python_grader_server_error_type: details,
      sample_parse_error: flag,
      truncated_observation_error: flag,
      unresponsive_reward_error: flag,
      messages: z.array(z.string()).openapi({ description: 'What went wrong, in words. Not an OpenAI field.' }),
    }),
  }),
});

export type GraderRun = z.infer<typeof graderRun>;
