/**
 * POST /v1/embeddings: hidden states of the model as vectors of length 1.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import { stoppingError } from '../generation/generate.ts';
import { completionPrompts } from '../generation/prompts.ts';
import { jsonBody, jsonResponse } from '../schemas/common.ts';
import { embeddingList, embeddingRequest } from '../schemas/embeddings.ts';
import { refuseUnsupported } from '../schemas/known-fields.ts';
import type { Routes } from './routes.ts';

const route = createRoute({
  method: 'post',
  path: '/v1/embeddings',
  tags: ['Inference'],
  summary: 'Turn texts into vectors',
  request: { body: jsonBody(embeddingRequest) },
  responses: jsonResponse(embeddingList, 'One vector for each input, in their order'),
});

export const embeddingRoutes: Routes = (application, services) => {
  application.openapi(route, async (context) => {
    const request = context.req.valid('json');
    if (services.stopping.aborted) throw stoppingError();
    refuseUnsupported('embeddings', request);
    const { engine, models, metrics, configuration } = services;
    const lease = await models.acquire(request.model);
    try {
      const prompts = completionPrompts(request.input, lease.info, configuration.limits.promptCharacters, 'input');
      const inputs = prompts.map(({ prompt, tokens }) => prompt ?? tokens!);
      const pooling = request.pooling ?? 'mean';
      const { vectors, tokens } = await engine.embed({ model: lease.info.id, inputs, pooling }, context.req.raw.signal);
      metrics.count('subzero_prompt_tokens_total', 'Tokens read.', {}, tokens);
      return context.json(
        {
          object: 'list' as const,
          data: vectors.map((vector, index) => ({
            object: 'embedding' as const,
            index,
            embedding: request.encoding_format === 'base64' ? toBase64(vector) : [...vector],
          })),
          model: request.model,
          usage: { prompt_tokens: tokens, total_tokens: tokens },
        },
        200,
      );
    } finally {
      lease.release();
    }
  });
};

/** Every machine that this runs on is little-endian, as the format is. */
function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}
