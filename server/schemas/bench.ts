/**
 * The kernel benchmark.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';
import { suites } from '../../src/bench-suites.ts';
import { maxBenchSeconds, maxNameLength, minBenchSeconds } from './limits.ts';

export const benchRequest = z
  .strictObject({
    suite: z
      .enum(suites)
      .default('quick')
      .openapi({ description: 'quick: some shapes, in about a minute; full: for GPUs, much longer' }),
    filter: z.string().max(maxNameLength).default('').openapi({ description: 'Only cases with this in their name' }),
    seconds: z
      .number()
      .min(minBenchSeconds)
      .max(maxBenchSeconds)
      .default(0.05)
      .openapi({ description: 'How long each case is repeated, by each of two clocks' }),
    stream: z
      .boolean()
      .default(false)
      .openapi({ description: 'Server-sent events: an object for each case that begins, then the result' }),
  })
  .openapi('BenchRequest');

export const benchResult = z
  .object({
    object: z.literal('bench'),
    adapter: z.string(),
    suite: z.enum(suites),
    seed: z.int().openapi({ description: 'Of the random inputs' }),
    disturbed: z.boolean().openapi({ description: 'Other work used the GPU meanwhile: the times are too long' }),
    roofline: z
      .object({ bytes_per_second: z.number(), flops_per_second: z.number() })
      .openapi({ description: 'The best that this adapter did in plain copies and multiplications' }),
    cases: z.array(
      z.object({
        operation: z.string(),
        name: z.string(),
        error: z.number().openapi({ description: 'Normalised mean squared error against float64' }),
        gpu_milliseconds: z.number().nullable().openapi({ description: 'null without timestamps on the GPU' }),
        wall_milliseconds: z.number(),
        gigaflops_per_second: z.number(),
        gigabytes_per_second: z.number(),
        roofline_share: z.number(),
      }),
    ),
    wrong: z
      .array(z.object({ case: z.string(), message: z.string() }))
      .openapi({ description: 'Cases with a wrong result, which have no times' }),
  })
  .openapi('BenchResult');

export type BenchAnswer = z.infer<typeof benchResult>;
