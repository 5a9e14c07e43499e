/**
 * A generation as server-sent events: the chunks, the usage if it was asked for, `[DONE]`. A failure on the way is an
 * event with the error object, because a stream that just stops is no error to OpenAI's client.
 *
 * @module
 */

import { type ApiError, clientClosedRequest, toApiError } from '../errors.ts';
import type { Usage } from '../schemas/generation.ts';
import { doneEvent, eventStreamResponse, serverSentEvent } from '../sse.ts';
import type { ChoiceEvent, Generation } from './generate.ts';

export interface StreamShape {
  /** Chunks before the first token. */
  head: object[];
  /** Chunks of one event; none for a token that shows nothing. */
  chunks(event: ChoiceEvent): object[];
  /** The last chunk, if usage was asked for. */
  usage: ((usage: Usage) => object) | undefined;
  onError(error: unknown, answer: ApiError): void;
}

export function streamGeneration(generation: Generation, shape: StreamShape): Response {
  async function* body(): AsyncGenerator<string> {
    try {
      for (const chunk of shape.head) yield serverSentEvent(chunk);
      for await (const event of generation.events) {
        for (const chunk of shape.chunks(event)) yield serverSentEvent(chunk);
      }
      if (shape.usage) yield serverSentEvent(shape.usage(generation.usage));
      yield doneEvent;
    } catch (error) {
      const answer = toApiError(error);
      if (answer.status === clientClosedRequest) return;
      shape.onError(error, answer);
      yield serverSentEvent(answer.body);
    } finally {
      generation.close();
    }
  }
  return eventStreamResponse(body(), () => generation.close());
}
