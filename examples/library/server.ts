/**
 * Serves models inside a Hono application of one's own, beside other routes.
 *
 * Run: `node server.ts [MODEL]` (or bun, or deno run --allow-all), with `subzero-webgpu` and `hono` installed.
 */

import { mkdtemp } from 'node:fs/promises';
import { Hono } from 'hono';
import { openEngine } from 'subzero-webgpu';
import { createApplication } from 'subzero-webgpu/server';

const model = process.argv[2] ?? 'node_modules/subzero-webgpu/examples/reviews-3m';

const engine = await openEngine();
await engine.loadModel({ id: 'reviews', path: model });
// Uploaded files, jobs and their runs live in the data directory; the engine's models are served.
const service = await createApplication(engine, {
  dataDirectory: await mkdtemp('server-example-'),
  logLevel: 'warn',
});

const site = new Hono();
site.get('/', (context) => context.text('a page of my own'));
site.mount('/zo', service.fetch);

// To listen: `serve({ fetch: site.fetch })` of @hono/node-server on Node, `Deno.serve(site.fetch)` on Deno,
// `Bun.serve({ fetch: site.fetch, idleTimeout: 0 })` on Bun. Without a listener it can be called as it is:
console.log(await (await site.request('/')).text());
const response = await site.request('/zo/v1/completions', {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'reviews', prompt: 'The film was', max_tokens: 4, temperature: 0 }),
});
const completion = (await response.json()) as { choices: { text: string }[] };
console.log(`The film was${completion.choices[0]?.text}`);

await service.close();
await engine.close();
