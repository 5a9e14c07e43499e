/**
 * Failures as OpenAI's clients expect them: a status and `{"error": {message, type, param, code}}` with all four keys.
 *
 * OpenAI's client repeats 408, 409, 429 and ≥ 500 by itself, hence the choice of statuses: a state that will not change
 * by waiting ("job already finished") is 400, and `x-should-retry` says no where repeating a 5xx cannot help.
 *
 * @module
 */

import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type ErrorCode, SubzeroError } from '../src/errors.ts';
import { isSetting } from '../src/settings/settings.ts';
import { wording } from '../src/words.ts';
import { wireName } from './setting-names.ts';

export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** A failure with the HTTP status and the error object it becomes. */
export class ApiError extends Error {
  readonly status: ContentfulStatusCode;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Record<string, string>;

  constructor(
    status: ContentfulStatusCode,
    message: string,
    options: { type?: string; param?: string | null; code?: string | null; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.type = options.type ?? typeOfStatus(status);
    this.param = options.param ?? null;
    this.code = options.code ?? null;
    this.headers = options.headers ?? {};
  }

  /** The error object of the response body. */
  get body(): ErrorBody {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}

function typeOfStatus(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/** 499 is nginx's "client closed request"; nobody reads that response, but the log and the metrics show it. */
export const clientClosedRequest = 499 as ContentfulStatusCode;

const statusOfCode: Record<ErrorCode, { status: ContentfulStatusCode; retry?: boolean }> = {
  invalid_argument: { status: 400 },
  context_length_exceeded: { status: 400 },
  invalid_data: { status: 400 },
  unsupported: { status: 400 },
  conflict: { status: 400 },
  not_found: { status: 404 },
  out_of_memory: { status: 503, retry: true },
  device_lost: { status: 503, retry: true },
  no_adapter: { status: 503, retry: false },
  cancelled: { status: clientClosedRequest },
  gpu: { status: 500, retry: false },
  io: { status: 500, retry: false },
};

/**
 * Turns anything that was thrown into the answer for the client. A defect of ours keeps its message and stack to the
 * log.
 */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof SubzeroError) {
    const { status, retry } = statusOfCode[error.code];
    const headers: Record<string, string> = {};
    if (retry !== undefined) headers['x-should-retry'] = String(retry);
    if (retry) headers['retry-after'] = '5';
    const { code, parameter } = error;
    const param = parameter !== undefined && isSetting(parameter) ? wireName(parameter) : (parameter ?? null);
    return new ApiError(status, wording(error.words, wireName), { code, param, headers });
  }
  if (error instanceof HTTPException) {
    // From Hono's validators, about a body of another type than the route takes, or none: all others have been parsed
    // by then.
    if (error.status === 400) return invalid('The body is empty; expected a JSON object.', null, 'invalid_json');
    const code = error.status === 415 ? 'unsupported_content_type' : null;
    return new ApiError(error.status as ContentfulStatusCode, error.message || `HTTP ${error.status}`, { code });
  }
  return new ApiError(500, 'The server failed on this request. Its log has the details under the request id.', {
    code: 'internal',
    headers: { 'x-should-retry': 'false' },
  });
}

/** A 404 for a resource that was named in the request. */
export function notFound(what: string, id: string, param: string | null = null): ApiError {
  return new ApiError(404, `No such ${what}: "${id}".`, { param, code: 'not_found' });
}

/** A 400 for one field of the request. */
export function invalid(message: string, param: string | null, code: string | null = null): ApiError {
  return new ApiError(400, message, { param, code });
}
