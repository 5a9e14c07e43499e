/**
 * Adapters of a request, by their names or, as llama.cpp has them, by their numbers.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { modelName } from './common.ts';
import { maxAdapters, maxAdapterWeight } from './limits.ts';

const weight = z.number().min(-maxAdapterWeight).max(maxAdapterWeight);

const adapterScale = z.strictObject({ id: z.number().int().min(0), scale: weight });

/** Fields of every request that generates. */
export const adapterFields = {
  adapters: z
    .array(z.strictObject({ name: modelName, weight: weight.nullish() }))
    .max(maxAdapters)
    .nullish()
    .openapi({
      description:
        'Adapters in the place of the one that `model` names, each with its weight, by default 1: the sum of their ' +
        'changes of the base model. Not an OpenAI field.',
    }),
  lora: z.array(adapterScale).max(maxAdapters).nullish().openapi({
    description: 'The same by the numbers of GET /lora-adapters, as in llama.cpp. Not an OpenAI field.',
  }),
};

export const loraAdapters = z.array(
  z.object({
    id: z.int(),
    name: z.string(),
    base: z.string().openapi({ description: 'The model that it belongs to' }),
    scale: z.number().openapi({ description: 'For requests to the base model that name no adapters' }),
  }),
);

export const loraScales = z.array(adapterScale).max(maxAdapters).openapi('LoraScales');

export type AdapterFields = z.infer<z.ZodObject<typeof adapterFields>>;
