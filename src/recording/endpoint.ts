/**
 * An endpoint that speaks OpenAI's API, asked with patience: what may succeed later is tried again, and when it asks to
 * wait, all requests wait.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

export interface EndpointOptions {
  /** Such as `https://api.openai.com/v1`. */
  baseUrl: string;
  apiKey?: string | undefined;
  /** How often a request is tried again. */
  retries: number;
  /** Seconds after which an answer that has not come is given up. */
  timeout: number;
  /** Told why and for how many seconds nothing is asked. */
  onWait?: (seconds: number, reason: string) => void;
}

/** The endpoint does not want this request, however often it is asked; others may be answered. */
export class RequestRefused extends Error {}

/** Statuses that are about the one request, not about the endpoint, the key or the model. */
const refusals = new Set([400, 413, 422]);

/** Statuses that may be others in a moment: time-out, conflict, too early, too many requests, and all of the server. */
const passing = (status: number): boolean => [408, 409, 425, 429].includes(status) || status >= 500;

/** Seconds before the first repetition, doubled each time, and the most. */
const firstWait = 0.5;
const longestWait = 30;

/** The longest text of an error that is shown. */
const shownCharacters = 300;

/** @throws SubzeroError `invalid_argument` for what is no address of the web */
export function checkBaseUrl(given: string): string {
  const url = URL.parse(given);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new SubzeroError('invalid_argument', `"${given}" is no http or https address`, { parameter: 'base-url' });
  }
  if (url.username || url.password) {
    throw new SubzeroError(
      'invalid_argument',
      'the address has a name or a password in it; give a key by the environment variable OPENAI_API_KEY',
      { parameter: 'base-url' },
    );
  }
  return given.replace(/\/+$/, '');
}

export class Endpoint {
  readonly #options: EndpointOptions;
  /** Until then nothing is asked, in milliseconds since 1970. */
  #quietUntil = 0;

  constructor(options: EndpointOptions) {
    this.#options = options;
  }

  /**
   * Sends a request until it is answered.
   * @param signal ends waiting and trying again; a request under way is still answered
   * @returns the JSON of the answer
   * @throws RequestRefused where the request is at fault; SubzeroError `io` where the endpoint, the key or the model
   *   is, or all attempts failed; `cancelled` when the signal is aborted before there is an answer
   */
  async post(path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const { baseUrl, retries } = this.#options;
    for (let attempt = 0; ; attempt++) {
      await this.#quiet(signal);
      const failure = await this.#attempt(`${baseUrl}${path}`, body);
      if ('answer' in failure) return failure.answer;
      if (attempt >= retries) {
        throw new SubzeroError('io', `${baseUrl}${path}: ${failure.reason} (${attempt + 1} attempts)`);
      }
      // Not all at once: between half of the wait and all of it.
      const own = Math.min(longestWait, firstWait * 2 ** attempt) * (0.5 + Math.random() / 2);
      const seconds = failure.retryAfter ?? own;
      if (failure.retryAfter !== undefined) this.#quietUntil = Math.max(this.#quietUntil, Date.now() + seconds * 1000);
      this.#options.onWait?.(seconds, failure.reason);
      await sleep(seconds * 1000, signal);
    }
  }

  async #quiet(signal: AbortSignal): Promise<void> {
    for (let left = this.#quietUntil - Date.now(); left > 0; left = this.#quietUntil - Date.now()) {
      await sleep(left, signal);
    }
    if (signal.aborted) throw cancelled();
  }

  async #attempt(
    url: string,
    body: unknown,
  ): Promise<{ answer: unknown } | { reason: string; retryAfter?: number | undefined }> {
    const { apiKey, timeout } = this.#options;
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify(body),
        // A key must not follow to another address.
        redirect: 'error',
        signal: AbortSignal.timeout(timeout * 1000),
      });
      text = await response.text();
    } catch (error) {
      return { reason: reasonOf(error) };
    }
    if (response.ok) {
      try {
        return { answer: JSON.parse(text) };
      } catch {
        return { reason: `the answer is not JSON: ${shorten(text)}` };
      }
    }
    const reason = `status ${response.status}: ${shorten(messageOf(text))}`;
    if (refusals.has(response.status)) throw new RequestRefused(reason);
    if (!passing(response.status)) throw new SubzeroError('io', `${url}: ${reason}`);
    return { reason, retryAfter: retryAfter(response.headers) };
  }
}

/** Seconds to wait by `retry-after-ms`, or by `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). */
function retryAfter(headers: Headers): number | undefined {
  const milliseconds = Number(headers.get('retry-after-ms') ?? Number.NaN);
  if (milliseconds >= 0) return milliseconds / 1000;
  const given = headers.get('retry-after');
  if (given === null) return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(given.trim()) ? Number(given) : (Date.parse(given) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}

/** OpenAI's error object, or the text as it is. */
function messageOf(text: string): string {
  try {
    const message = (JSON.parse(text) as { error?: { message?: unknown } }).error?.message;
    if (typeof message === 'string') return message;
  } catch {
    // A proxy's page, as it is.
  }
  return text;
}

function shorten(text: string): string {
  const plain = text.replace(/\s+/g, ' ').trim();
  return plain.length > shownCharacters ? `${plain.slice(0, shownCharacters)}…` : plain || 'no text';
}

/** `fetch` says "fetch failed", and what happened in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no answer in time';
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

function cancelled(): SubzeroError {
  return new SubzeroError('cancelled', 'the request was cancelled');
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(cancelled());
    const abort = (): void => {
      clearTimeout(timer);
      reject(cancelled());
    };
    // A timer holds no more than 2^31 − 1 ms; who waits longer waits again.
    const timer = setTimeout(
      () => {
        signal.removeEventListener('abort', abort);
        resolve();
      },
      Math.min(milliseconds, 2 ** 31 - 1),
    );
    signal.addEventListener('abort', abort, { once: true });
  });
}
