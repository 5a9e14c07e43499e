/**
 * /openapi.json, made from the schemas that validate, and /docs, the same as a page for people: no script, no CDN.
 *
 * @module
 */

import { html, raw } from 'hono/html';
import type { Application, Routes } from './routes.ts';

type Document = ReturnType<Application['getOpenAPI31Document']>;

interface Operation {
  method: string;
  path: string;
  summary: string;
  description: string;
  tag: string;
  /** Names of the parameters in the query string. */
  query: string[];
  /** Name of the body's schema, if it has one. */
  schemaName: string | undefined;
  /** Parts of the multipart form that is its body. */
  form: string[];
}

interface BodySchema {
  $ref?: string;
  properties?: object;
}

const about = {
  openapi: '3.1.0',
  info: {
    title: 'SubZero WebGPU',
    version: '1',
    description:
      'Fine-tune and serve language models by zeroth-order optimisation on WebGPU. The shapes are those of the ' +
      'OpenAI API, so its clients work with this server as their base URL.',
  },
};

export const documentationRoutes: Routes = (application, { configuration }) => {
  const hasKey = configuration.apiKey !== undefined;
  if (hasKey)
    application.openAPIRegistry.registerComponent('securitySchemes', 'key', { type: 'http', scheme: 'bearer' });
  let made: Document | undefined;
  const document = () =>
    (made ??= application.getOpenAPI31Document({ ...about, ...(hasKey ? { security: [{ key: [] }] } : {}) }));

  application.get('/openapi.json', (context) => context.json(document()));

  application.get('/docs', async (context) => {
    context.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    return context.html(await page(document(), hasKey));
  });
};

/** Operations in the order of the routes. */
function operationsOf(document: Document): Operation[] {
  return Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Record<string, unknown>>).map(([method, operation]) => {
      const body = operation.requestBody as { content?: Record<string, { schema?: BodySchema }> } | undefined;
      const [bodyType, content] = Object.entries(body?.content ?? {})[0] ?? [];
      const parameters = (operation.parameters ?? []) as { name: string; in: string }[];
      return {
        method: method.toUpperCase(),
        path,
        summary: String(operation.summary ?? ''),
        description: String(operation.description ?? ''),
        tag: String((operation.tags as string[] | undefined)?.[0] ?? ''),
        query: parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name),
        schemaName: content?.schema?.$ref?.split('/').at(-1),
        form: bodyType === 'multipart/form-data' ? Object.keys(content?.schema?.properties ?? {}) : [],
      };
    }),
  );
}

const style = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
h3 { margin: 1.6rem 0 0.2rem; } h3 code { font-size: 1rem; overflow-wrap: anywhere; }
.method { display: inline-block; min-width: 4.5em; font-weight: 700; }
p { margin: 0.2rem 0; }
pre { overflow-x: auto; padding: 0.6rem; border-radius: 6px; }
pre { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
`;

function page(document: Document, hasKey: boolean) {
  const operations = operationsOf(document);
  const tags = [...new Set(operations.map(({ tag }) => tag))];
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${about.info.title}: HTTP API</title><style>${raw(style)}</style></head>
<body>
<h1>${about.info.title}: HTTP API</h1>
<p>${about.info.description}</p>
<p>For programs: <a href="/openapi.json">/openapi.json</a>. The server's <a href="/">dashboard</a>.
Failures have the body <code>{"error": {"message", "type", "param", "code"}}</code>.</p>
${hasKey ? html`<p>This server has a key: send it as <code>Authorization: Bearer KEY</code>.</p>` : ''}
${tags.map((tag) => html`<h2>${tag}</h2>${operations.filter((each) => each.tag === tag).map(operationHtml)}`)}
<h2>Schemas</h2>
${Object.entries(document.components?.schemas ?? {}).map(
  ([name, schema]) => html`<h3 id="${name}"><code>${name}</code></h3><pre>${JSON.stringify(schema, null, 2)}</pre>`,
)}
</body></html>`;
}

function operationHtml({ method, path, summary, description, query, schemaName, form }: Operation) {
  const parameters = query.length > 0 ? html`<p>Query: <code>${query.join(', ')}</code></p>` : '';
  const body = schemaName ? html`<p>Body: <a href="#${schemaName}">${schemaName}</a></p>` : '';
  const parts = form.length > 0 ? html`<p>Body: a multipart form with <code>${form.join(', ')}</code></p>` : '';
  return html`<section><h3><code><span class="method">${method}</span>${path}</code></h3>
<p>${summary}.${description ? ` ${description}` : ''}</p>${parameters}${body}${parts}</section>`;
}
