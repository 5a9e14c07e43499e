/**
 * Fine-tuning jobs, their events and checkpoints. The hyperparameters of zeroth-order training are those of the
 * training configuration (their bounds and choices are checked there, in one place).
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { longestItem, longestText, mostItems, type Setting } from '../../src/settings/setting.ts';
import { type SettingName, settingNames, settingOf, settings } from '../../src/settings/settings.ts';
import { wording } from '../../src/words.ts';
import { wireName } from '../setting-names.ts';
import { listOf, modelName, pageQuery, queryInteger, resourceId, seed } from './common.ts';
import { refused } from './known-fields.ts';
import {
  maxEpochs,
  maxMetadataKey,
  maxMetadataPairs,
  maxMetadataValue,
  maxPageSize,
  maxSuffixLength,
} from './limits.ts';

const auto = z.literal('auto');
const epochs = z.union([auto, z.number().int().min(1).max(maxEpochs)]).nullish();
const multiplier = z.union([auto, z.number().gt(0).max(1e6)]).nullish();

/** A setting of training. Its bounds and choices are described here; `resolveConfiguration` checks them. */
export function settingSchema(
  name: SettingName,
): z.ZodType<string | number | boolean | readonly string[] | null | undefined> {
  const setting = settingOf(name);
  const { kind, words } = kindOf(setting);
  return z
    .union([kind, auto], { error: `expected a ${words} or "auto"` })
    .nullish()
    .openapi({ description: descriptionOf(setting), default: setting.default });
}

function kindOf(setting: Setting): { kind: z.ZodType<string | number | boolean | string[]>; words: string } {
  switch (setting.type) {
    case 'integer':
    case 'number': {
      const { type, minimum, maximum } = setting;
      return { kind: z.number().openapi({ type, minimum, maximum }), words: 'number' };
    }
    case 'choice': {
      const type = typeof setting.default as 'string' | 'number';
      const kind = { string: z.string().max(64), number: z.number() }[type];
      return { kind: kind.openapi({ enum: [...setting.choices] }), words: type };
    }
    case 'boolean':
      return { kind: z.boolean(), words: 'boolean' };
    case 'text':
      return { kind: z.string().max(longestText), words: 'string' };
    case 'list':
      return { kind: z.array(z.string().min(1).max(longestItem)).max(mostItems), words: 'list of strings' };
  }
}

function descriptionOf({ help, unit, appliesTo }: Setting): string {
  return [
    help,
    ...(unit === 'bytes' ? ['in bytes'] : []),
    ...(appliesTo ? [`no effect without ${wording(appliesTo.without, wireName)}`] : []),
  ].join('; ');
}

const zerothOrderHyperparameters = z
  .strictObject({
    ...Object.fromEntries(settingNames.map((name) => [wireName(name), settingSchema(name)])),
    n_epochs: epochs.openapi({ description: 'Instead of steps: how often each example is drawn on average' }),
    learning_rate_multiplier: multiplier.openapi({ description: 'Instead of learning_rate: a factor on its default' }),
  })
  .openapi('ZerothOrderHyperparameters');

const supervisedHyperparameters = z.strictObject({
  n_epochs: epochs,
  batch_size: z.union([auto, z.number().int().min(1).max(settings.batchSize.maximum)]).nullish(),
  learning_rate_multiplier: multiplier,
});

const dpoHyperparameters = supervisedHyperparameters.extend({
  beta: z.union([auto, z.number().gt(0).max(settings.dpoBeta.maximum)]).nullish(),
});

const reinforcementHyperparameters = supervisedHyperparameters.extend({
  compute_multiplier: z
    .union([auto, z.number().int().min(1).max(settings.queries.maximum)])
    .nullish()
    .openapi({ description: 'Directions per step, `queries`' }),
  eval_interval: z
    .union([auto, z.number().int().min(0).max(settings.evaluateEvery.maximum)])
    .nullish()
    .openapi({ description: 'Steps between evaluations, `evaluate_every`' }),
  ...refused('method.reinforcement.hyperparameters'),
});

const grader = z.record(z.string(), z.unknown()).openapi({ description: 'As in /v1/fine_tuning/alpha/graders' });

export const metadata = z
  .record(z.string().min(1).max(maxMetadataKey), z.string().max(maxMetadataValue))
  .refine((pairs) => Object.keys(pairs).length <= maxMetadataPairs, `at most ${maxMetadataPairs} pairs`);

export const jobRequest = z
  .strictObject({
    model: modelName,
    training_file: resourceId,
    validation_file: resourceId.nullish(),
    suffix: z
      .string()
      .min(1)
      .max(maxSuffixLength)
      .regex(/^[A-Za-z0-9._-]+$/, 'letters, digits, ".", "_" and "-" only')
      .nullish(),
    seed: seed.nullish(),
    metadata: metadata.nullish(),
    hyperparameters: supervisedHyperparameters
      .nullish()
      .openapi({ description: 'The older place of the hyperparameters of method "supervised"' }),
    method: z
      .discriminatedUnion('type', [
        z.strictObject({
          type: z.literal('zeroth_order'),
          zeroth_order: z
            .strictObject({ grader: grader.nullish(), hyperparameters: zerothOrderHyperparameters.nullish() })
            .nullish(),
        }),
        z.strictObject({
          type: z.literal('supervised'),
          supervised: z.strictObject({ hyperparameters: supervisedHyperparameters.nullish() }).nullish(),
        }),
        z.strictObject({
          type: z.literal('dpo'),
          dpo: z.strictObject({ hyperparameters: dpoHyperparameters.nullish() }).nullish(),
        }),
        z.strictObject({
          type: z.literal('reinforcement'),
          reinforcement: z.strictObject({
            grader,
            hyperparameters: reinforcementHyperparameters.nullish(),
            ...refused('method.reinforcement'),
          }),
        }),
      ])
      .nullish(),
    ...refused('fine-tuning jobs'),
  })
  .openapi('FineTuningJobRequest');

export const hyperparameterValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.string()).readonly()]);

const cluster = z
  .object({
    steps_per_second: z.number(),
    bytes_per_step: z.number(),
    workers: z.array(
      z.object({
        name: z.string(),
        adapter: z.string(),
        leader: z.boolean().openapi({ description: 'Whether it is this server' }),
        shards: z.int().openapi({ description: 'Parts of steps that it scored' }),
        steps_per_second: z.number().openapi({ description: 'Its part of those of the job' }),
        tokens_per_second: z.number(),
        lag: z.int().openapi({ description: 'Steps since the last that it scored a part of' }),
        waiting_share: z.number(),
        bytes_per_step: z.number(),
        differs: z.boolean().openapi({ description: 'Whether its trained state differs from that of this server' }),
        refused: z.int().openapi({ description: 'Answers that were refused' }),
      }),
    ),
  })
  .openapi({ description: 'Who takes part, only while a cluster trains the job. Not an OpenAI field.' });

export const job = z
  .object({
    id: z.string(),
    object: z.literal('fine_tuning.job'),
    created_at: z.int(),
    finished_at: z.int().nullable(),
    status: z.enum(['validating_files', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled']),
    model: z.string(),
    fine_tuned_model: z.string().nullable(),
    organization_id: z.string(),
    training_file: z.string(),
    validation_file: z.string().nullable(),
    result_files: z.array(z.string()),
    hyperparameters: z.record(z.string(), hyperparameterValue),
    method: z.object({
      type: z.enum(['zeroth_order', 'supervised', 'dpo', 'reinforcement']),
      zeroth_order: z
        .object({ grader: grader.optional(), hyperparameters: z.record(z.string(), hyperparameterValue) })
        .optional(),
      supervised: z.object({ hyperparameters: z.record(z.string(), hyperparameterValue) }).optional(),
      dpo: z.object({ hyperparameters: z.record(z.string(), hyperparameterValue) }).optional(),
      reinforcement: z.object({ grader, hyperparameters: z.record(z.string(), hyperparameterValue) }).optional(),
    }),
    seed: z.int(),
    trained_tokens: z.int().nullable(),
    estimated_finish: z.int().nullable(),
    error: z.object({ code: z.string(), message: z.string(), param: z.string().nullable() }).nullable(),
    integrations: z.array(z.unknown()),
    metadata: z.record(z.string(), z.string()).nullable(),
    progress: z
      .object({ step: z.int(), total_steps: z.int(), train_loss: z.number().nullable() })
      .openapi({ description: 'Where the training stands. Not an OpenAI field.' }),
    cluster: cluster.optional(),
  })
  .openapi('FineTuningJob');

export const jobList = listOf(job);

const jobEvent = z
  .object({
    id: z.string(),
    object: z.literal('fine_tuning.job.event'),
    created_at: z.int(),
    level: z.enum(['info', 'warn', 'error']),
    message: z.string(),
    type: z.enum(['message', 'metrics']),
    data: z.record(z.string(), z.unknown()).nullable(),
  })
  .openapi('FineTuningJobEvent');

export const jobEventList = listOf(jobEvent);

export const jobQuery = pageQuery;

export const eventQuery = z.strictObject({
  after: resourceId.optional(),
  limit: queryInteger(1, maxPageSize, 20),
  order: z.enum(['asc', 'desc']).default('desc').openapi({ description: 'Not an OpenAI field.' }),
  stream: z.enum(['true', 'false']).default('false').openapi({ description: 'true = server-sent events' }),
});

const checkpoint = z
  .object({
    id: z.string(),
    object: z.literal('fine_tuning.job.checkpoint'),
    created_at: z.int(),
    fine_tuned_model_checkpoint: z.string(),
    fine_tuning_job_id: z.string(),
    step_number: z.int(),
    metrics: z.record(z.string(), z.number()),
    best: z
      .boolean()
      .openapi({ description: 'Whether its validation loss is the lowest so far. Not an OpenAI field.' }),
  })
  .openapi('FineTuningJobCheckpoint');

export const checkpointList = listOf(checkpoint);

export type JobRequest = z.infer<typeof jobRequest>;
export type Job = z.infer<typeof job>;
export type JobEvent = z.infer<typeof jobEvent>;
export type Checkpoint = z.infer<typeof checkpoint>;
