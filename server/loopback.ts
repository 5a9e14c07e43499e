/**
 * Requests of the service to itself: what batches and evaluations ask for passes through the same checks and routes as
 * what clients ask for.
 *
 * @module
 */

import { SubzeroError } from '../src/errors.ts';

/** An answer to a request of ours. */
export interface LoopbackAnswer {
  status: number;
  requestId: string;
  body: unknown;
}

/** Seconds before a request is repeated that was refused because much is being done. */
const busySeconds = 1;

export class Loopback {
  readonly #apiKey: string | undefined;
  #application: { fetch(request: Request): Response | Promise<Response> } | undefined;

  constructor(apiKey: string | undefined) {
    this.#apiKey = apiKey;
  }

  /** Says who answers. */
  connect(application: { fetch(request: Request): Response | Promise<Response> }): void {
    this.#application = application;
  }

  /**
   * Posts JSON, again and again while the service is busy.
   * @throws SubzeroError `cancelled` when the signal is aborted, or the service stops, before there is an answer
   */
  async post(path: string, body: unknown, signal: AbortSignal): Promise<LoopbackAnswer> {
    for (;;) {
      if (signal.aborted) throw cancelled();
      const request = new Request(`http://localhost${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(this.#apiKey === undefined ? {} : { authorization: `Bearer ${this.#apiKey}` }),
        },
        body: JSON.stringify(body),
        signal,
      });
      const response = await this.#application!.fetch(request);
      const text = await response.text();
      if (signal.aborted) throw cancelled();
      const requestId = response.headers.get('x-request-id') ?? '';
      const answer = { status: response.status, requestId, body: parsed(text) };
      if (response.status === 503 && codeOf(answer.body) === 'stopping') throw cancelled();
      if (response.status !== 429) return answer;
      await sleep(busySeconds * 1000, signal);
    }
  }
}

function cancelled(): SubzeroError {
  return new SubzeroError('cancelled', 'the request was not answered');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The code of an answer that is OpenAI's error object. */
export function codeOf(body: unknown): string | null {
  return (body as { error?: { code?: string | null } } | null)?.error?.code ?? null;
}

/** The message of an answer that is OpenAI's error object. */
export function messageOf(body: unknown): string {
  return (body as { error?: { message?: string } } | null)?.error?.message ?? String(body);
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end);
  });
}
