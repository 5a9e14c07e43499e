/**
 * The service mounted in an application of one's own behind each runtime's own server: requests, a stream, an upload.
 * Prints `mounted: ok`, or what went wrong.
 */

import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { Hono } from 'hono';
import { openEngine } from 'subzero-webgpu';
import { createApplication } from 'subzero-webgpu/server';

type Fetch = (request: Request) => Response | Promise<Response>;
interface Runtimes {
  Deno?: { serve(options: object, handler: Fetch): { addr: { port: number }; shutdown(): Promise<void> } };
  Bun?: { serve(options: object): { port: number; stop(): Promise<void> } };
}

async function listen(fetch: Fetch): Promise<{ port: number; stop(): unknown }> {
  const { Deno, Bun } = globalThis as Runtimes;
  if (Deno) {
    const server = Deno.serve({ hostname: '127.0.0.1', port: 0, onListen: () => {} }, fetch);
    return { port: server.addr.port, stop: () => server.shutdown() };
  }
  if (Bun) {
    const server = Bun.serve({ hostname: '127.0.0.1', port: 0, idleTimeout: 0, fetch });
    return { port: server.port, stop: () => server.stop() };
  }
  // Node without a library: any server that can call a fetch handler will do.
  const server = createServer(async (incoming, outgoing) => {
    const { method = 'GET', headers, url } = incoming;
    const body = method === 'GET' ? {} : { body: Readable.toWeb(incoming) as ReadableStream, duplex: 'half' as const };
    const plain = Object.entries(headers).map(([name, value]) => [name, String(value)] as [string, string]);
    const answer = await fetch(new Request(`http://${headers.host}${url}`, { method, headers: plain, ...body }));
    outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
    for await (const piece of answer.body ?? []) outgoing.write(piece);
    outgoing.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const engine = await openEngine();
const models = [{ id: 'reviews', path: process.argv[2]! }];
const dataDirectory = await mkdtemp('mounted-');
const service = await createApplication(engine, { models, dataDirectory, logLevel: 'warn' });
const site = new Hono();
site.get('/', (context) => context.text('mine'));
site.mount('/zo', service.fetch);
const { port, stop } = await listen(site.fetch);
const base = `http://127.0.0.1:${port}`;
const faults: string[] = [];
const check = (what: string, holds: boolean): unknown => holds || faults.push(what);

check('a page beside it', (await (await fetch(base)).text()) === 'mine');
const listed = (await (await fetch(`${base}/zo/v1/models`)).json()) as { data: { id: string }[] };
check('models', listed.data[0]?.id === 'reviews');
const streamed = await fetch(`${base}/zo/v1/completions`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'reviews', prompt: 'The film', max_tokens: 3, stream: true }),
});
check('a stream', (await streamed.text()).endsWith('data: [DONE]\n\n'));
const form = new FormData();
form.set('purpose', 'fine-tune');
form.set('file', new Blob(['{"prompt":"a","completion":"b"}\n'.repeat(1000)]), 'a.jsonl');
const upload = (await (await fetch(`${base}/zo/v1/files`, { method: 'POST', body: form })).json()) as {
  lines?: number;
};
check('an upload', upload.lines === 1000);

await stop();
await service.close();
await engine.close();
console.log(faults.length === 0 ? 'mounted: ok' : `mounted: ${faults.join(', ')}`);
