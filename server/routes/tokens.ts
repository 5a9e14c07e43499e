/**
 * Tokenizers over HTTP, in vLLM's shapes and at its addresses, and under /v1 as everything else here.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import type { TokenizerInfo } from '../../src/engine/types.ts';
import { invalid } from '../errors.ts';
import { chatMessages, checkTokens } from '../generation/prompts.ts';
import type { ModelLease } from '../models.ts';
import { jsonBody, jsonResponse } from '../schemas/common.ts';
import { refuseUnsupported } from '../schemas/known-fields.ts';
import {
  detokenizeRequest,
  detokenizeResponse,
  tokenizeRequest,
  tokenizeResponse,
  tokenizerInfo,
  tokenizerInfoQuery,
} from '../schemas/models.ts';
import type { Routes } from './routes.ts';

const tags = ['Inference'];

const tokenizeRoute = (base: string) =>
  createRoute({
    method: 'post',
    path: `${base}/tokenize`,
    tags,
    summary: 'Turn text, or a conversation, into token ids',
    request: { body: jsonBody(tokenizeRequest) },
    responses: jsonResponse(tokenizeResponse, 'The token ids'),
  });

const detokenizeRoute = (base: string) =>
  createRoute({
    method: 'post',
    path: `${base}/detokenize`,
    tags,
    summary: 'Turn token ids into text',
    request: { body: jsonBody(detokenizeRequest) },
    responses: jsonResponse(detokenizeResponse, 'The text'),
  });

const infoRoute = (base: string) =>
  createRoute({
    method: 'get',
    path: `${base}/tokenizer_info`,
    tags,
    summary: 'Special tokens and chat template of a tokenizer',
    request: { query: tokenizerInfoQuery },
    responses: jsonResponse(tokenizerInfo, 'The tokenizer'),
  });

export const tokenRoutes: Routes = (application, { engine, models, configuration }) => {
  const { promptCharacters } = configuration.limits;

  /** Work with the tokenizer of a model. */
  async function withModel<T>(named: string | undefined, work: (lease: ModelLease) => Promise<T>): Promise<T> {
    const lease = await models.acquire(await models.tokenizing(named));
    try {
      return await work(lease);
    } finally {
      lease.release();
    }
  }

  for (const base of ['/v1', '']) {
    application.openapi(tokenizeRoute(base), async (context) => {
      const request = context.req.valid('json');
      refuseUnsupported('tokenize', request);
      const { prompt, messages, add_special_tokens: special } = request;
      if (prompt && prompt.length > promptCharacters) {
        throw invalid(
          `"prompt" has ${prompt.length} characters; this server takes at most ${promptCharacters}.`,
          'prompt',
          'too_long',
        );
      }
      const answer = await withModel(request.model ?? undefined, async ({ info }) => {
        const { add_generation_prompt: opened, chat_template_kwargs: variables } = request;
        const tokens = messages
          ? await engine.tokenizeChat(info.id, chatMessages(messages, info, promptCharacters), {
              addGenerationPrompt: opened ?? true,
              ...(special == null ? {} : { addSpecialTokens: special }),
              ...(variables ? { templateVariables: variables } : {}),
            })
          : await engine.tokenize(info.id, prompt ?? '', special ?? true);
        const strings = request.return_token_strs ? await engine.tokenStrings(info.id, tokens) : null;
        return { count: tokens.length, max_model_len: info.contextLength, tokens, token_strs: strings };
      });
      return context.json(answer, 200);
    });

    application.openapi(detokenizeRoute(base), async (context) => {
      const { model, tokens } = context.req.valid('json');
      const { text, rest } = await withModel(model, async ({ info }) => {
        checkTokens(tokens, info, 'tokens');
        return engine.detokenize(info.id, tokens);
      });
      return context.json({ prompt: text + rest }, 200);
    });

    application.openapi(infoRoute(base), async (context) => {
      const { model } = context.req.valid('query');
      const answer = await withModel(model, async ({ info }) =>
        toInfo(info.id, info.contextLength, await engine.tokenizerInfo(info.id)),
      );
      return context.json(answer, 200);
    });
  }
};

function toInfo(model: string, contextLength: number, info: TokenizerInfo) {
  const named = (name: string): string | null => info.specialTokens[name] ?? null;
  return {
    model,
    vocab_size: info.vocabularySize,
    max_model_len: contextLength,
    add_bos_token: info.addsBosToken,
    bos_token: named('bos_token'),
    eos_token: named('eos_token'),
    unk_token: named('unk_token'),
    pad_token: named('pad_token'),
    sep_token: named('sep_token'),
    cls_token: named('cls_token'),
    mask_token: named('mask_token'),
    chat_template: info.chatTemplate ?? null,
  };
}
