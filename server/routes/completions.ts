/**
 * POST /v1/completions.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import { invalid } from '../errors.ts';
import { type ChoiceEvent, type ShownToken, startGeneration } from '../generation/generate.ts';
import { completionPrompts, type Prompt } from '../generation/prompts.ts';
import { streamGeneration } from '../generation/stream.ts';
import { checkStreamOptions } from '../generation/stream-options.ts';
import { createIdentifier, unixTime } from '../identifiers.ts';
import { errorResponse, jsonBody } from '../schemas/common.ts';
import { type CompletionRequest, completion, completionRequest, type LegacyLogprobs } from '../schemas/generation.ts';
import { defaultMaxTokens } from '../schemas/limits.ts';
import { eventStreamContent } from '../schemas/streams.ts';
import type { Services } from '../services.ts';
import type { Routes } from './routes.ts';

const route = createRoute({
  method: 'post',
  path: '/v1/completions',
  tags: ['Inference'],
  summary: 'Continue a text',
  request: { body: jsonBody(completionRequest) },
  responses: {
    200: {
      description: 'The continuations; with `stream`, chunks of them as server-sent events',
      content: { 'application/json': { schema: completion }, ...eventStreamContent },
    },
    ...errorResponse,
  },
});

/** What this server would have to pretend. */
function refuseUnsupported(request: CompletionRequest): void {
  const { n, best_of: bestOf, echo, logprobs, suffix } = request;
  if (bestOf && bestOf !== (n ?? 1))
    throw invalid('"best_of" other than n is not supported.', 'best_of', 'unsupported');
  if (suffix) throw invalid('"suffix" is not supported: the models only continue text.', 'suffix', 'unsupported');
  if (echo && (logprobs ?? null) !== null) {
    throw invalid('"echo" together with "logprobs" is not supported.', 'echo', 'unsupported');
  }
}

export const completionRoutes: Routes = (application, services) => {
  application.openapi(route, async (context) => {
    const request = context.req.valid('json');
    refuseUnsupported(request);
    checkStreamOptions(request);
    const { models, configuration } = services;
    const lease = await models.acquire(request.model);
    let prompts: Prompt[];
    let echoes: string[];
    try {
      prompts = completionPrompts(request.prompt, lease.info, configuration.limits.promptCharacters);
      echoes = request.echo
        ? await Promise.all(prompts.map((prompt) => promptText(services, lease.info.id, prompt)))
        : [];
    } catch (error) {
      lease.release();
      throw error;
    }
    const topLogprobs = request.logprobs ?? undefined;
    const maxTokens = request.max_tokens ?? defaultMaxTokens;
    const options = { prompts, sampling: request, maxTokens, topLogprobs };
    const generation = await startGeneration(services, lease, options, context.req.raw.signal);
    const n = request.n ?? 1;
    const head = {
      id: createIdentifier('cmpl-'),
      object: 'text_completion' as const,
      created: unixTime(),
      model: request.model,
    };
    const choices = Array.from(
      { length: prompts.length * n },
      (_, index) => new Choice(index, echoes[Math.floor(index / n)]),
    );

    if (request.stream) {
      const includeUsage = request.stream_options?.include_usage === true;
      const chunk = (event: ChoiceEvent, text: string, tokens: ShownToken[]) => ({
        ...head,
        choices: [
          {
            index: event.choice,
            text,
            finish_reason: event.type === 'done' ? event.finishReason : null,
            logprobs: topLogprobs === undefined ? null : choices[event.choice]!.logprobs(tokens),
          },
        ],
        ...(includeUsage ? { usage: null } : {}),
      });
      return streamGeneration(generation, {
        head: echoes.length
          ? choices.map(({ index, text }) => ({
              ...head,
              choices: [{ index, text, finish_reason: null, logprobs: null }],
              ...(includeUsage ? { usage: null } : {}),
            }))
          : [],
        chunks: (event) => {
          if (event.type === 'done') return [chunk(event, event.text, [])];
          return event.text === '' && topLogprobs === undefined ? [] : [chunk(event, event.text, [event.token])];
        },
        usage: includeUsage ? (usage) => ({ ...head, choices: [], usage }) : undefined,
        onError: (error) => context.get('log').error('stream failed', { error: String(error) }),
      });
    }

    try {
      for await (const event of generation.events) choices[event.choice]!.add(event);
    } finally {
      generation.close();
    }
    return context.json(
      {
        ...head,
        choices: choices.map((choice) => ({
          index: choice.index,
          text: choice.text,
          finish_reason: choice.finishReason,
          logprobs: topLogprobs === undefined ? null : choice.logprobs(choice.tokens),
        })),
        usage: generation.usage,
      },
      200,
    );
  });
};

async function promptText({ engine }: Services, model: string, prompt: Prompt): Promise<string> {
  return prompt.prompt ?? (await engine.detokenize(model, prompt.tokens!));
}

/** One completion as it grows. */
class Choice {
  readonly index: number;
  text: string;
  finishReason: 'stop' | 'length' = 'length';
  readonly tokens: ShownToken[] = [];
  #offset = 0;

  constructor(index: number, echo = '') {
    this.index = index;
    this.text = echo;
  }

  add(event: ChoiceEvent): void {
    this.text += event.text;
    if (event.type === 'token') this.tokens.push(event.token);
    else this.finishReason = event.finishReason;
  }

  /** Log-probabilities of the next tokens; offsets count on from the call before. */
  logprobs(tokens: ShownToken[]): LegacyLogprobs {
    return {
      tokens: tokens.map(({ text }) => text),
      token_logprobs: tokens.map(({ logprob }) => logprob),
      // The chosen token is always among them, as in OpenAI's answers.
      top_logprobs: tokens.map(({ text, logprob, top }) =>
        Object.fromEntries([...top.map((item) => [item.text, item.logprob] as const), [text, logprob]]),
      ),
      text_offset: tokens.map(({ text }) => (this.#offset += text.length) - text.length),
    };
  }
}
