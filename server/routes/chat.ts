/**
 * POST /v1/chat/completions.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import type { TokenLogprob } from '../../src/engine/types.ts';
import { invalid } from '../errors.ts';
import { type ChoiceEvent, type ShownToken, startGeneration } from '../generation/generate.ts';
import { chatMessages, type Prompt } from '../generation/prompts.ts';
import { streamGeneration } from '../generation/stream.ts';
import { checkStreamOptions } from '../generation/stream-options.ts';
import { createIdentifier, unixTime } from '../identifiers.ts';
import { errorResponse, jsonBody } from '../schemas/common.ts';
import { type ChatLogprobs, type ChatRequest, chatCompletion, chatRequest } from '../schemas/generation.ts';
import { refuseUnsupported } from '../schemas/known-fields.ts';
import { eventStreamContent } from '../schemas/streams.ts';
import type { Routes } from './routes.ts';

const route = createRoute({
  method: 'post',
  path: '/v1/chat/completions',
  tags: ['Inference'],
  summary: 'Answer a conversation',
  request: { body: jsonBody(chatRequest) },
  responses: {
    200: {
      description: 'The answers; with `stream`, chunks of them as server-sent events',
      content: { 'application/json': { schema: chatCompletion }, ...eventStreamContent },
    },
    ...errorResponse,
  },
});

/** What the schema cannot tell. */
function check(request: ChatRequest): void {
  refuseUnsupported('chat', request);
  if ((request.top_logprobs ?? null) !== null && !request.logprobs) {
    throw invalid('"top_logprobs" needs "logprobs": true.', 'top_logprobs');
  }
  const { max_tokens: older, max_completion_tokens: newer } = request;
  if (older && newer && older !== newer) {
    throw invalid('"max_tokens" and "max_completion_tokens" differ; give one.', 'max_tokens');
  }
}

export const chatRoutes: Routes = (application, services) => {
  application.openapi(route, async (context) => {
    const request = context.req.valid('json');
    check(request);
    checkStreamOptions(request);
    const topLogprobs = request.logprobs ? (request.top_logprobs ?? 0) : undefined;
    const maxTokens = request.max_completion_tokens ?? request.max_tokens ?? undefined;
    const lease = await services.models.acquire(request.model);
    let prompts: Prompt[];
    try {
      const { promptCharacters } = services.configuration.limits;
      const messages = chatMessages(request.messages, lease.info, promptCharacters);
      const { chat_template_kwargs: templateVariables } = request;
      prompts = [{ messages, ...(templateVariables ? { templateVariables } : {}) }];
    } catch (error) {
      lease.release();
      throw error;
    }
    const options = { prompts, sampling: request, maxTokens, topLogprobs };
    const generation = await startGeneration(services, lease, options, context.req.raw.signal);
    const head = { id: createIdentifier('chatcmpl-'), created: unixTime(), model: request.model };
    const n = request.n ?? 1;

    if (request.stream) {
      const includeUsage = request.stream_options?.include_usage === true;
      const wrap = (choices: object[]) => ({
        ...head,
        object: 'chat.completion.chunk',
        choices,
        ...(includeUsage ? { usage: null } : {}),
      });
      const chunk = (index: number, delta: object, tokens: ShownToken[], finishReason: string | null = null) => {
        const logprobs = topLogprobs === undefined || tokens.length === 0 ? null : toLogprobs(tokens);
        return wrap([{ index, delta, finish_reason: finishReason, logprobs }]);
      };
      return streamGeneration(generation, {
        head: Array.from({ length: n }, (_, index) =>
          chunk(index, { role: 'assistant', content: '', refusal: null }, []),
        ),
        chunks: (event) => {
          if (event.type === 'token') {
            const silent = event.text === '' && topLogprobs === undefined;
            return silent ? [] : [chunk(event.choice, { content: event.text }, [event.token])];
          }
          if (event.type === 'prompt') return [];
          return [
            ...(event.text === '' ? [] : [chunk(event.choice, { content: event.text }, [])]),
            chunk(event.choice, {}, [], event.finishReason),
          ];
        },
        usage: includeUsage ? (usage) => ({ ...wrap([]), usage }) : undefined,
        onError: (error) => context.get('log').error('stream failed', { error: String(error) }),
      });
    }

    const answers = Array.from({ length: n }, (): Answer => ({ content: '', finishReason: 'length', tokens: [] }));
    try {
      for await (const event of generation.events) add(answers[event.choice]!, event);
    } finally {
      generation.close();
    }
    return context.json(
      {
        ...head,
        object: 'chat.completion' as const,
        choices: answers.map(({ content, finishReason, tokens }, index) => ({
          index,
          message: { role: 'assistant' as const, content, refusal: null },
          finish_reason: finishReason,
          logprobs: topLogprobs === undefined ? null : toLogprobs(tokens),
        })),
        usage: generation.usage,
      },
      200,
    );
  });
};

interface Answer {
  content: string;
  finishReason: 'stop' | 'length';
  tokens: ShownToken[];
}

function add(answer: Answer, event: ChoiceEvent): void {
  answer.content += event.text;
  if (event.type === 'token') answer.tokens.push(event.token);
  else if (event.type === 'done') answer.finishReason = event.finishReason;
}

function toLogprobs(tokens: ShownToken[]): ChatLogprobs {
  const shown = ({ text, logprob, bytes }: Omit<TokenLogprob, 'id'>) => ({ token: text, logprob, bytes });
  return {
    content: tokens.map((token) => ({ ...shown(token), top_logprobs: token.topLogprobs.map(shown) })),
    refusal: null,
  };
}
