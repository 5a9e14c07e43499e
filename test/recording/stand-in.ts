/**
 * A local stand-in for an endpoint that speaks OpenAI's API: it answers what a test says, and notes what it was asked.
 *
 * @module
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Asked {
  path: string;
  authorization: string | undefined;
  body: Record<string, unknown>;
  /** When it came, in milliseconds. */
  at: number;
}

/** What is answered: JSON with a status and headers, or nothing at all. */
export type Reply = { status?: number; headers?: Record<string, string>; body: unknown } | 'hang up';

export async function standIn(reply: (asked: Asked, count: number) => Reply | Promise<Reply>) {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const one: Asked = {
      ...{ path: request.url!, authorization: request.headers.authorization },
      ...{ body: JSON.parse(text), at: performance.now() },
    };
    const answer = await reply(one, asked.push(one));
    if (answer === 'hang up') return request.socket.destroy();
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers });
    response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked };
}

/** An answer of /chat/completions. */
export function chatAnswer(content: string | null, more: Record<string, unknown> = {}, finish = 'stop'): Reply {
  return {
    body: {
      ...{ id: 'chatcmpl-1', object: 'chat.completion', model: 'teacher-2026-01-01' },
      choices: [{ index: 0, finish_reason: finish, message: { role: 'assistant', content, ...more } }],
      usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
    },
  };
}

/** The text of the last message of a request. */
export function question({ body }: Asked): string {
  return (body.messages as { content: string }[]).at(-1)!.content;
}
