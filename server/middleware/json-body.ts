/**
 * Reads JSON bodies with a limit that counts what arrives, whatever Content-Length says or does not say. Hono's own
 * `bodyLimit` believes Content-Length where there is one, which nobody checks in an application that is mounted in
 * another. Fields that are null count as absent from here on.
 *
 * @module
 */

import type { MiddlewareHandler } from 'hono';
import type { Environment } from '../environment.ts';
import { ApiError, invalid } from '../errors.ts';
import { dropNulls } from '../schemas/nulls.ts';

const jsonType = /^application\/([\w.-]+\+)?json\s*(;|$)/i;

const linesType = /^application\/(x-ndjson|jsonl|x-jsonlines)\s*(;|$)/i;

const bodyMethods = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

/**
 * @param streamed paths whose route reads the body itself
 * @param lines paths whose body is lines of JSON, which their route checks
 */
export function jsonBody(
  maxBytes: number,
  streamed: ReadonlySet<string>,
  lines: RegExp,
): MiddlewareHandler<Environment> {
  return async (context, next) => {
    const { req } = context;
    checkEncoding(req.header('content-encoding'));
    if (bodyMethods.has(req.method) && !streamed.has(req.path)) {
      const text = await readText(req.raw, maxBytes);
      // Hono reads every form of the body from the promise it keeps here (its types omit that it is one).
      (req.bodyCache as Record<string, Promise<string>>).text = Promise.resolve(text);
      if (lines.test(req.path)) checkLinesType(req.header('content-type'));
      else if (text !== '') {
        const body = parseJson(text, req.header('content-type'));
        dropNulls(body);
        req.json = async <T>() => body as T;
      }
    }
    await next();
  };
}

function checkEncoding(contentEncoding = 'identity'): void {
  if (contentEncoding.toLowerCase() === 'identity') return;
  throw new ApiError(415, `Send the body as it is, without the content encoding "${contentEncoding.slice(0, 80)}".`, {
    code: 'unsupported_content_encoding',
  });
}

function checkLinesType(contentType: string | undefined): void {
  if (linesType.test(contentType ?? '')) return;
  throw new ApiError(415, 'Send JSON lines with the header "Content-Type: application/x-ndjson".', {
    code: 'unsupported_content_type',
  });
}

/** Says where it is wrong, which the validators do not. */
function parseJson(text: string, contentType: string | undefined): unknown {
  if (!jsonType.test(contentType ?? '')) {
    throw new ApiError(415, 'Send the body as JSON with the header "Content-Type: application/json".', {
      code: 'unsupported_content_type',
    });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw invalid(`The body is not valid JSON: ${reason.slice(0, 300)}.`, null, 'invalid_json');
  }
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = () =>
    new ApiError(413, `The body is larger than the ${maxBytes} bytes that this server accepts.`, {
      code: 'body_too_large',
    });
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  if (!request.body) return '';
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
    if (bytes > maxBytes) {
      await reader.cancel();
      throw tooLarge();
    }
    chunks.push(value);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw invalid('The body is not valid UTF-8.', null, 'invalid_json');
  }
}
