/**
 * Runs the completions of one request: n for each prompt, at the same time, as one stream of events with the index of
 * the choice they belong to. Both endpoints, streaming or not, are readers of this stream.
 *
 * @module
 */

import type { GenerateRequest, PlacedToken, TokenLogprob } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import { ApiError, invalid } from '../errors.ts';
import type { ModelLease } from '../models.ts';
import type { Sampling, Usage } from '../schemas/generation.ts';
import { maxCompletionsPerRequest } from '../schemas/limits.ts';
import type { Services } from '../services.ts';
import { adapterChoices } from './adapters.ts';
import { mergeStreams } from './merge.ts';
import type { Prompt } from './prompts.ts';

/** A generated token as the answers show it: its own text, apart from the text that was ready to be sent with it. */
export type ShownToken = PlacedToken & TokenLogprob;

export type ChoiceEvent =
  /** The next tokens of the prompt; they make no text. */
  | { choice: number; type: 'prompt'; text: ''; tokens: PlacedToken[] }
  | { choice: number; type: 'token'; text: string; token: ShownToken }
  /** `text` is what was held back until the end. */
  | { choice: number; type: 'done'; text: string; finishReason: 'stop' | 'length'; endToken: PlacedToken | undefined };

export interface GenerationOptions {
  prompts: Prompt[];
  sampling: Sampling;
  maxTokens: number | undefined;
  /** Alternatives for each token; `undefined` = no log-probabilities at all. */
  topLogprobs: number | undefined;
  /** Whether the prompts' tokens are wanted with their log-probabilities, too. */
  scorePrompt?: boolean;
}

/** A started generation. Whoever has it must call `close` at the end, however it ended. */
export interface Generation {
  events: AsyncGenerator<ChoiceEvent>;
  /** Complete once `events` has ended. */
  usage: Usage;
  /** Stops what still runs and frees the model. Can be called again. */
  close(): void;
}

/**
 * Starts the completions and waits for the first sign of life, so that a request which cannot be served fails with a
 * status of its own instead of in the middle of a stream.
 * @param lease the model; released when the generation ends
 */
export async function startGeneration(
  services: Services,
  lease: ModelLease,
  options: GenerationOptions,
  client: AbortSignal,
): Promise<Generation> {
  const { sampling, prompts } = options;
  const count = prompts.length * (sampling.n ?? 1);
  try {
    admit(services, count);
  } catch (error) {
    lease.release();
    throw error;
  }
  services.activeGenerations.count += count;
  const left = new AbortController();
  const signal = AbortSignal.any([left.signal, client, services.stopped]);
  const usage: Usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    left.abort();
    lease.release();
    services.activeGenerations.count -= count;
    const { metrics } = services;
    metrics.count('subzero_prompt_tokens_total', 'Tokens read.', {}, usage.prompt_tokens);
    metrics.count('subzero_completion_tokens_total', 'Tokens generated.', {}, usage.completion_tokens);
  };
  try {
    const requests = buildRequests(services, lease, options);
    const n = sampling.n ?? 1;
    const streams = requests.map((request, choice) =>
      readChoice(services, request, choice, signal, usage, choice % n === 0),
    );
    const merged = mergeStreams(streams);
    const first = await merged.next();
    const close = () => {
      end();
      void merged.return(undefined).catch(() => {});
    };
    return { events: resume(first, merged, usage, services), usage, close };
  } catch (error) {
    end();
    throw error;
  }
}

function admit({ activeGenerations, configuration, stopping }: Services, count: number): void {
  if (stopping.aborted) throw stoppingError();
  if (count > maxCompletionsPerRequest) {
    throw invalid(`Prompts × n is ${count}; at most ${maxCompletionsPerRequest} completions in one request.`, 'n');
  }
  if (activeGenerations.count + count > configuration.limits.activeGenerations) {
    throw new ApiError(429, 'The server is generating as much as it may; try again in a moment.', {
      code: 'busy',
      headers: { 'retry-after': '1' },
    });
  }
}

export function stoppingError(): ApiError {
  return new ApiError(503, 'The server is stopping.', { code: 'stopping', headers: { 'retry-after': '5' } });
}

function buildRequests({ models }: Services, lease: ModelLease, options: GenerationOptions) {
  const { prompts, sampling, maxTokens, topLogprobs, scorePrompt = false } = options;
  const { info } = lease;
  const n = sampling.n ?? 1;
  const logitBias =
    sampling.logit_bias && Object.keys(sampling.logit_bias).length > 0 ? sampling.logit_bias : undefined;
  const unknown = Object.keys(logitBias ?? {}).find((id) => Number(id) >= info.vocabularySize);
  if (unknown !== undefined) {
    throw invalid(
      `Token ${unknown} is not in the vocabulary of "${info.id}" (0 to ${info.vocabularySize - 1}).`,
      'logit_bias',
    );
  }
  const stop = sampling.stop ?? [];
  const adapters = adapterChoices(models, info.id, sampling);
  const shared: Omit<GenerateRequest, 'model'> = {
    // More than the context cannot come anyway; `finish_reason` tells the truth about it.
    maxTokens: Math.min(maxTokens ?? info.contextLength, info.contextLength),
    temperature: sampling.temperature ?? 1,
    stop: typeof stop === 'string' ? [stop] : stop,
    ...(topLogprobs === undefined ? {} : { topLogprobs }),
    ...(scorePrompt ? { scorePrompt } : {}),
    ...(logitBias ? { logitBias } : {}),
    ...(adapters ? { adapters } : {}),
    presencePenalty: sampling.presence_penalty ?? 0,
    frequencyPenalty: sampling.frequency_penalty ?? 0,
    ...(sampling.top_k ? { topK: sampling.top_k } : {}),
    // No probability mass at all means the most likely token alone.
    ...(sampling.top_p === 0 ? { topK: 1 } : sampling.top_p ? { topP: sampling.top_p } : {}),
  };
  return prompts.flatMap((prompt, promptIndex) =>
    Array.from({ length: n }, (_, index): GenerateRequest => {
      const seed = sampling.seed ?? undefined;
      // Choices of one prompt must differ, and the whole answer must repeat with the seed.
      const own = seed === undefined ? {} : { seed: (seed + promptIndex * n + index) % Number.MAX_SAFE_INTEGER };
      return { model: info.id, ...prompt, ...shared, ...own };
    }),
  );
}

/** One completion. Counts the prompt only for the first choice of a prompt, as OpenAI does. */
async function* readChoice(
  { engine }: Services,
  request: GenerateRequest,
  choice: number,
  signal: AbortSignal,
  usage: Usage,
  countsPrompt: boolean,
): AsyncGenerator<ChoiceEvent | undefined> {
  let sent = 0;
  for await (const event of engine.generate(request, signal)) {
    if (event.type === 'start') {
      if (countsPrompt) usage.prompt_tokens += event.promptTokens;
      yield undefined;
    } else if (event.type === 'prompt') {
      yield { choice, type: 'prompt', text: '', tokens: event.tokens };
    } else if (event.type === 'token') {
      usage.completion_tokens++;
      const { type, text, tokenText, ...token } = event;
      sent += text.length;
      yield { choice, type, text, token: { ...token, text: tokenText } };
    } else {
      const { type, finishReason, endToken } = event;
      yield { choice, type, text: event.text.slice(sent), finishReason, endToken };
      return;
    }
  }
  // The stream ended without its last event: it was aborted.
  throw new SubzeroError('cancelled', 'the generation was stopped before its end');
}

/** The events after the first one was taken. */
async function* resume(
  first: IteratorResult<ChoiceEvent | undefined>,
  rest: AsyncGenerator<ChoiceEvent | undefined>,
  usage: Usage,
  { stopped }: Services,
): AsyncGenerator<ChoiceEvent> {
  try {
    if (!first.done && first.value) yield first.value;
    for await (const event of rest) if (event) yield event;
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
  } catch (error) {
    throw stopped.aborted ? stoppingError() : error;
  }
}
