/**
 * POST /v1/completions.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import type { PlacedToken } from '../../src/engine/types.ts';
import { characterCount } from '../../src/generate/text-offsets.ts';
import { invalid } from '../errors.ts';
import { type ChoiceEvent, startGeneration } from '../generation/generate.ts';
import { completionPrompts, type Prompt } from '../generation/prompts.ts';
import { streamGeneration } from '../generation/stream.ts';
import { checkStreamOptions } from '../generation/stream-options.ts';
import { createIdentifier, unixTime } from '../identifiers.ts';
import { errorResponse, jsonBody } from '../schemas/common.ts';
import { type CompletionRequest, completion, completionRequest, type LegacyLogprobs } from '../schemas/generation.ts';
import { refuseUnsupported } from '../schemas/known-fields.ts';
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

/** What the schema cannot tell. */
function check(request: CompletionRequest): void {
  const { n, best_of: bestOf, echo, max_tokens: maxTokens } = request;
  refuseUnsupported('completions', { ...request, best_of: bestOf === (n ?? 1) ? undefined : bestOf });
  if (maxTokens === 0 && !echo) {
    throw invalid('"max_tokens": 0 needs "echo": true; without the prompt there is nothing to answer.', 'max_tokens');
  }
}

export const completionRoutes: Routes = (application, services) => {
  application.openapi(route, async (context) => {
    const request = context.req.valid('json');
    check(request);
    checkStreamOptions(request);
    const { models, configuration } = services;
    const lease = await models.acquire(request.model);
    let prompts: Prompt[];
    let echoes: Echo[];
    try {
      prompts = completionPrompts(request.prompt, lease.info, configuration.limits.promptCharacters);
      echoes = request.echo ? await Promise.all(prompts.map((prompt) => echoOf(services, lease.info.id, prompt))) : [];
    } catch (error) {
      lease.release();
      throw error;
    }
    const topLogprobs = request.logprobs ?? undefined;
    const maxTokens = request.max_tokens ?? defaultMaxTokens;
    const scorePrompt = request.echo === true && topLogprobs !== undefined;
    const options = { prompts, sampling: request, maxTokens, topLogprobs, scorePrompt };
    const generation = await startGeneration(services, lease, options, context.req.raw.signal);
    const logprobsOf = (tokens: PlacedToken[]) => (topLogprobs === undefined ? null : toLogprobs(tokens));
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
      const chunk = (index: number, text: string, tokens: PlacedToken[], finishReason: string | null = null) => ({
        ...head,
        choices: [{ index, text, finish_reason: finishReason, logprobs: logprobsOf(tokens) }],
        ...(includeUsage ? { usage: null } : {}),
      });
      return streamGeneration(generation, {
        head: echoes.length ? choices.map(({ index, text }) => chunk(index, text, [])) : [],
        chunks: (event) => {
          const choice = choices[event.choice]!;
          const tokens = choice.tokensOf(event);
          const text = choice.textOf(event);
          if (event.type === 'done') return [chunk(event.choice, text, tokens, event.finishReason)];
          return text === '' && topLogprobs === undefined ? [] : [chunk(event.choice, text, tokens)];
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
          logprobs: logprobsOf(choice.tokens),
        })),
        usage: generation.usage,
      },
      200,
    );
  });
};

/** A prompt as text, and what a character becomes that its token ids leave open, if no generated token completes it. */
interface Echo {
  text: string;
  rest: string;
}

async function echoOf({ engine }: Services, model: string, { prompt, tokens }: Prompt): Promise<Echo> {
  if (prompt === undefined) return engine.detokenize(model, tokens!);
  // JSON can hold half a surrogate pair, UTF-8 cannot: it is what its token says, U+FFFD.
  return { text: prompt.replace(/\p{Surrogate}/gu, '\ufffd'), rest: '' };
}

/** One completion as it grows. */
class Choice {
  readonly index: number;
  text: string;
  finishReason: 'stop' | 'length' = 'length';
  readonly tokens: PlacedToken[] = [];
  /** Characters in front of what is generated. */
  readonly #start: number;
  /** What the prompt still needs at its end. */
  #rest: string;

  constructor(index: number, { text, rest }: Echo = { text: '', rest: '' }) {
    this.index = index;
    this.text = text;
    this.#start = characterCount(text);
    this.#rest = rest;
  }

  add(event: ChoiceEvent): void {
    this.text += this.textOf(event);
    this.tokens.push(...this.tokensOf(event));
    if (event.type === 'done') this.finishReason = event.finishReason;
  }

  /** The text that an event brings. Call it once for each, in order. */
  textOf(event: ChoiceEvent): string {
    if (event.type === 'token' && event.token.bytes.length > 0) this.#rest = '';
    return event.type === 'done' ? this.#rest + event.text : event.text;
  }

  /** The tokens that an event brings, at their places in the whole text. */
  tokensOf(event: ChoiceEvent): PlacedToken[] {
    if (event.type === 'prompt') return event.tokens;
    const token = event.type === 'token' ? event.token : event.endToken;
    if (!token) return [];
    const rest = event.type === 'done' ? characterCount(this.#rest) : 0;
    return [{ ...token, textOffset: this.#start + rest + token.textOffset }];
  }
}

function toLogprobs(tokens: PlacedToken[]): LegacyLogprobs {
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(topLogprobsOf),
    text_offset: tokens.map(({ textOffset }) => textOffset),
  };
}

/** By name, the token itself always among them, as in OpenAI's answers. */
function topLogprobsOf({ text, logprob, topLogprobs }: PlacedToken): Record<string, number> | null {
  if (logprob === null) return null;
  return Object.fromEntries([...topLogprobs.map((item) => [item.text, item.logprob]), [text, logprob]]);
}
