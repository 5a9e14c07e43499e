/**
 * `Idempotency-Key`: a POST that is repeated with the same key gets the first answer again and starts nothing new. The
 * same key with another body is an error. Answers live in the store; failures of the server (≥ 500, 429) are not kept.
 *
 * @module
 */

import type { MiddlewareHandler } from 'hono';
import { createHash } from '../../src/platform/index.ts';
import type { Environment } from '../environment.ts';
import { invalid } from '../errors.ts';
import { unixTime } from '../identifiers.ts';
import { maxIdempotencyKeyLength } from '../schemas/limits.ts';
import type { KeptAnswer, Store } from '../store.ts';

/** How long an answer is kept. */
const answerSeconds = 24 * 60 * 60;

export function idempotency(store: Store): MiddlewareHandler<Environment> {
  /** Requests under way, so that a repeat which overtakes the first answer waits for it. */
  const underWay = new Map<string, Promise<unknown>>();

  return async (context, next) => {
    const { req } = context;
    const given = req.header('idempotency-key');
    if (req.method !== 'POST' || given === undefined) return next();
    if (!/^[\x21-\x7e]+$/.test(given) || given.length > maxIdempotencyKeyLength) {
      throw invalid(
        `Idempotency-Key must be 1 to ${maxIdempotencyKeyLength} printable characters without spaces.`,
        'Idempotency-Key',
      );
    }
    const key = `${req.path} ${given}`;
    // A streamed upload has no body here: its key and path alone tell it from another.
    const fingerprint = createHash('sha256')
      .update((await req.bodyCache.text) ?? '')
      .digest('hex');

    while (underWay.has(key)) await underWay.get(key);
    const kept = store.keptAnswer(key);
    if (kept) return answerAgain(kept, fingerprint);

    let finish = () => {};
    underWay.set(key, new Promise<void>((resolve) => (finish = resolve)));
    try {
      await next();
      const { status } = context.res;
      if (status < 500 && status !== 429) {
        const body = await context.res.clone().text();
        store.forgetAnswersBefore(unixTime() - answerSeconds);
        store.keepAnswer(key, { fingerprint, status, body, createdAt: unixTime() });
      }
    } finally {
      underWay.delete(key);
      finish();
    }
  };
}

function answerAgain(kept: KeptAnswer, fingerprint: string): Response {
  if (kept.fingerprint !== fingerprint) {
    throw invalid(
      'This Idempotency-Key was used with another body already.',
      'Idempotency-Key',
      'idempotency_key_reused',
    );
  }
  return new Response(kept.body, {
    status: kept.status,
    headers: { 'content-type': 'application/json', 'idempotent-replayed': 'true' },
  });
}
