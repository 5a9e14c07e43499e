/**
 * /v1/zo/runs: runs whose steps the caller makes. Their settings are the hyperparameters of a fine-tuning job, without
 * those that say which data come when.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { settingNames, settingOf, settings } from '../../src/settings/settings.ts';
import { wireName } from '../setting-names.ts';
import { listOf, modelName, resourceId } from './common.ts';
import { chatRequest, completionRequest, usage } from './generation.ts';
import { hyperparameterValue, settingSchema } from './jobs.ts';
import { maxRunExamples, maxSingle, maxTokenId } from './limits.ts';

/** All but those of a training loop, which is the caller's here. */
export const runSettings = settingNames.filter((name) => !settingOf(name).loop);

const seqId = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional().openapi({
  description: 'A number of your own: a repeat with the same body gets the same answer, another body an error',
});

export const runRequest = z
  .strictObject({
    model: modelName,
    hyperparameters: z
      .strictObject(Object.fromEntries(runSettings.map((name) => [wireName(name), settingSchema(name)])))
      .nullish(),
  })
  .openapi('StepRunRequest');

export const runParameters = z.object({ run_id: resourceId });

const data = z
  .array(z.record(z.string(), z.unknown()))
  .min(1)
  .max(maxRunExamples)
  .openapi({
    description: 'Rows in any format of a training file, all with options or all with a completion',
    example: [{ prompt: 'a moving film . It was', options: [' great', ' terrible'], label: 0 }],
  });
const step = z.number().int().min(1).max(settings.steps.maximum).openapi({
  description: 'The number of the step, from 1; refused if the run stands elsewhere',
});
const learningRate = z.number().min(settings.learningRate.minimum).max(settings.learningRate.maximum);
const numbers = z.array(z.number().min(-maxSingle).max(maxSingle)).min(1).max(settings.queries.maximum);
const curvatures = z.array(z.number().min(0).max(maxSingle)).min(1).max(settings.queries.maximum);

export const forwardRequest = z.strictObject({ data, seq_id: seqId }).openapi('StepRunForwardRequest');

export const probeRequest = z
  .strictObject({ data, step: step.optional(), seq_id: seqId })
  .openapi('StepRunProbeRequest');

export const applyRequest = z
  .strictObject({
    projected_gradients: numbers.openapi({ description: 'ρ for each query' }),
    curvatures: curvatures.optional().openapi({ description: 'HiZOO only: one for each query' }),
    learning_rate: learningRate.optional().openapi({ description: "That of the run's schedule by default" }),
    step: step.optional(),
    seq_id: seqId,
  })
  .openapi('StepRunApplyRequest');

export const stepRequest = z
  .strictObject({ data, learning_rate: learningRate.optional(), step: step.optional(), seq_id: seqId })
  .openapi('StepRunStepRequest');

const { temperature, top_p, top_k, seed, stop, logit_bias, presence_penalty, frequency_penalty } =
  completionRequest.shape;
const { max_tokens } = chatRequest.shape;

export const sampleRequest = z
  .strictObject({
    prompt: z.union([z.string(), z.array(z.number().int().min(0).max(maxTokenId)).min(1)], {
      error: 'expected a string or an array of token ids',
    }),
    ...{ max_tokens, temperature, top_p, top_k, seed, stop, logit_bias, presence_penalty, frequency_penalty },
    seq_id: seqId,
  })
  .openapi('StepRunSampleRequest');

export const trajectoryQuery = z.strictObject({
  seq_id: z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .optional()
    .openapi({ type: 'integer', minimum: 0 }),
});

export const trajectoryLine = z.strictObject({
  step: z.number().int().min(1).max(settings.steps.maximum),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  learning_rate: learningRate,
  projected_gradients: numbers,
  curvatures: curvatures.optional(),
});

export const run = z
  .object({
    id: z.string(),
    object: z.literal('zo.run'),
    created_at: z.int(),
    model: z.string(),
    step: z.int().openapi({ description: 'Steps done' }),
    hyperparameters: z.record(z.string(), hyperparameterValue),
  })
  .openapi('StepRun');

export const runList = listOf(run);

export const runDeletion = z.object({ id: z.string(), object: z.literal('zo.run'), deleted: z.literal(true) });

const measures = z
  .record(z.string(), z.number())
  .openapi({ description: 'What the objective measures beside the loss: reward_margin, drift; absent without' });

export const forwardResult = z
  .object({
    object: z.literal('zo.run.forward'),
    step: z.int(),
    loss: z.number(),
    accuracy: z.number().nullable(),
    f1: z.number().nullable().openapi({ description: 'Of generated answers, where the data has right ones' }),
    exact_match: z.number().nullable(),
    examples: z.int(),
    tokens: z.int(),
    measures: measures.optional(),
  })
  .openapi('StepRunForward');

const probeFields = {
  step: z.int().openapi({ description: 'The number of the step, from 1' }),
  loss: z.number().openapi({ description: 'Mean over all points of the step' }),
  accuracy: z.number().nullable(),
  loss_center: z.number().nullable().openapi({ description: 'Unperturbed, where the method looks at it' }),
  loss_plus: z.array(z.number()),
  loss_minus: z.array(z.number()).nullable().openapi({ description: 'null for one-sided methods' }),
  projected_gradients: z.array(z.number()).openapi({ description: 'ρ for each query' }),
  curvatures: z.array(z.number()).nullable(),
  tokens: z.int(),
  measures: measures.optional(),
  stuck: z.string().nullable().openapi({
    description: 'Why the run cannot learn any more, where this step and those before it say so; null otherwise',
  }),
};

export const probeResult = z.object({ object: z.literal('zo.run.probe'), ...probeFields }).openapi('StepRunProbe');

export const applyResult = z
  .object({
    object: z.literal('zo.run.apply'),
    step: z.int(),
    learning_rate: z.number(),
    projected_gradients: z.array(z.number()),
    curvatures: z.array(z.number()).nullable(),
  })
  .openapi('StepRunApply');

export const stepResult = z
  .object({ object: z.literal('zo.run.step'), ...probeFields, learning_rate: z.number() })
  .openapi('StepRunStep');

export const sampleResult = z
  .object({
    object: z.literal('zo.run.sample'),
    text: z.string(),
    finish_reason: z.enum(['stop', 'length']),
    usage,
  })
  .openapi('StepRunSample');

export type RunRequest = z.infer<typeof runRequest>;
export type Run = z.infer<typeof run>;
export type SampleRequest = z.infer<typeof sampleRequest>;
