/**
 * POST /v1/tokenize and /v1/detokenize, in vLLM's shape.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import { invalid } from '../errors.ts';
import { checkTokens } from '../generation/prompts.ts';
import { jsonBody, jsonResponse } from '../schemas/common.ts';
import { detokenizeRequest, detokenizeResponse, tokenizeRequest, tokenizeResponse } from '../schemas/models.ts';
import type { Routes } from './routes.ts';

const tags = ['Inference'];

const tokenizeRoute = createRoute({
  method: 'post',
  path: '/v1/tokenize',
  tags,
  summary: 'Turn text into token ids',
  request: { body: jsonBody(tokenizeRequest) },
  responses: jsonResponse(tokenizeResponse, 'The token ids'),
});

const detokenizeRoute = createRoute({
  method: 'post',
  path: '/v1/detokenize',
  tags,
  summary: 'Turn token ids into text',
  request: { body: jsonBody(detokenizeRequest) },
  responses: jsonResponse(detokenizeResponse, 'The text'),
});

export const tokenRoutes: Routes = (application, { engine, models, configuration }) => {
  application.openapi(tokenizeRoute, async (context) => {
    const { model, prompt, add_special_tokens: addSpecialTokens } = context.req.valid('json');
    const maximum = configuration.limits.promptCharacters;
    if (prompt.length > maximum) {
      throw invalid(
        `"prompt" has ${prompt.length} characters; this server takes at most ${maximum}.`,
        'prompt',
        'too_long',
      );
    }
    const lease = await models.acquire(model);
    try {
      const tokens = await engine.tokenize(model, prompt, addSpecialTokens);
      return context.json({ count: tokens.length, max_model_len: lease.info.contextLength, tokens }, 200);
    } finally {
      lease.release();
    }
  });

  application.openapi(detokenizeRoute, async (context) => {
    const { model, tokens } = context.req.valid('json');
    const lease = await models.acquire(model);
    try {
      checkTokens(tokens, lease.info, 'tokens');
      const { text, rest } = await engine.detokenize(model, tokens);
      return context.json({ prompt: text + rest }, 200);
    } finally {
      lease.release();
    }
  });
};
