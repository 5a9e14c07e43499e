import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { isLoopback } from '../../server/configuration.ts';
import { serve } from '../../server/serve.ts';
import { FakeEngine } from './fake-engine.ts';
import { expectError, post, startServer, temporaryDirectory, uploadExamples } from './harness.ts';

/** A GET whose headers fetch would not let us set. */
function get(url: string, headers: Record<string, string>): Promise<Response> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { headers }, async (incoming) => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const answer = new Headers(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
      resolve(new Response(Buffer.concat(chunks), { status: incoming.statusCode!, headers: answer }));
    });
    request.on('error', reject);
    request.end();
  });
}

describe('API key', () => {
  const apiKey = 'sk-local-1234';

  test('is asked for on every route but /health, the description and the files of the dashboard', async () => {
    const server = await startServer({ apiKey });
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    expect(await (await fetch(`${server.url}/docs`)).text()).toContain('Authorization: Bearer');
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, object>>;
    };
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path: path.replace(/\{\w+\}/g, 'x') })),
    );
    expect(operations.length).toBeGreaterThan(20);
    const unknown = { method: 'GET', path: '/nowhere' };
    for (const { method, path } of [...operations, unknown].filter(({ path }) => path !== '/health')) {
      for (const header of [undefined, 'Bearer wrong', `Bearer ${apiKey}x`, `Basic ${apiKey}`, 'Bearer ']) {
        const response = await fetch(server.url + path, { method, headers: header ? { authorization: header } : {} });
        expect(response.headers.get('www-authenticate')).toBe('Bearer');
        expect((await expectError(response, 401)).code).toBe('invalid_api_key');
      }
    }
  });

  test('opens everything to the client that has it', async () => {
    const server = await startServer({ apiKey });
    expect((await server.client.models.list()).data).toHaveLength(1);
    await expect(server.client.withOptions({ apiKey: 'wrong' }).models.list()).rejects.toMatchObject({ status: 401 });
  });

  test('is required beyond this machine', async () => {
    const options = { engine: new FakeEngine(), models: [], port: 0, logLevel: 'silent' as const };
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.org']) {
      const dataDirectory = temporaryDirectory();
      await expect(serve({ ...options, host, dataDirectory })).rejects.toMatchObject({
        code: 'invalid_argument',
        parameter: 'apiKey',
      });
    }
    expect(['127.0.0.1', '127.1.2.3', 'localhost', '::1', '[::1]'].every(isLoopback)).toBe(true);
    expect(['127.0.0.1.example.org', '128.0.0.1', '0.0.0.0', '::', 'local'].some(isLoopback)).toBe(false);
    const server = await startServer({ host: '0.0.0.0', apiKey });
    expect(server.url).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/);
  });
});

describe('web pages', () => {
  test('a foreign Host is refused, an address and allowed names are not', async () => {
    const server = await startServer({ allowedHosts: ['gpu.example.org'] });
    const { port } = new URL(server.url);
    for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example', '127.0.0.1.evil.example']) {
      expect((await expectError(await get(`${server.url}/health`, { host }), 403)).code).toBe('host_not_allowed');
    }
    for (const host of ['localhost', `LOCALHOST:${port}`, '127.0.0.1', '[::1]', '192.0.2.7:80', 'gpu.example.org']) {
      expect((await get(`${server.url}/health`, { host })).status).toBe(200);
    }
  });

  test('a foreign Origin is refused, also for requests without preflight', async () => {
    const server = await startServer();
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1']) {
      const response = await get(`${server.url}/v1/models`, { origin });
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
      expect((await expectError(response, 403)).code).toBe('origin_not_allowed');
    }
    expect((await get(`${server.url}/v1/models`, { origin: server.url })).status).toBe(200);
  });

  test('CORS, where it is switched on', async () => {
    const origin = 'https://app.example';
    const server = await startServer({ corsOrigins: [origin], apiKey: 'k' });
    const preflight = await fetch(`${server.url}/v1/models`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
    const answer = await get(`${server.url}/v1/models`, { origin, authorization: 'Bearer k' });
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
    await expectError(await get(`${server.url}/v1/models`, { origin: 'https://evil.example' }), 403);
  });
});

describe('bodies', () => {
  test('larger than allowed, with and without Content-Length', async () => {
    const server = await startServer({ limits: { bodyBytes: 1000 } });
    const body = JSON.stringify({ model: 'base', prompt: 'x'.repeat(1000) });
    expect((await expectError(await post(server, '/v1/completions', body), 413)).code).toBe('body_too_large');
    const chunked = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: new Blob([body]).stream(),
      duplex: 'half',
    } as RequestInit);
    await expectError(chunked, 413);
    expect(server.engine.generateRequests).toEqual([]);
  });

  test('that are no JSON object', async () => {
    const server = await startServer();
    for (const [body, code] of [
      ['', 'invalid_json'],
      ['{"model": "base"', 'invalid_json'],
      ['nonsense', 'invalid_json'],
      ['[]', 'invalid_value'],
      ['null', 'missing_field'],
      ['"text"', 'invalid_value'],
      ['[['.repeat(200_000), 'invalid_json'],
      ['{"__proto__": {"model": "base"}}', undefined],
    ] as const) {
      for (const path of ['/v1/completions', '/v1/chat/completions', '/v1/fine_tuning/jobs', '/v1/tokenize']) {
        const error = await expectError(await post(server, path, body), 400);
        if (code) expect(error.code).toBe(code);
      }
    }
    const binary = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: new Uint8Array([0xff, 0xfe]),
    });
    expect((await expectError(binary, 400)).code).toBe('invalid_json');
    const empty = await expectError(await post(server, '/v1/completions', ''), 400);
    expect(empty.message).toBe('The body is empty; expected a JSON object.');
    for (const path of ['/v1/completions', '/v1/files']) {
      const packed = await expectError(await post(server, path, '{}', { 'content-encoding': 'gzip' }), 415);
      expect(packed).toMatchObject({
        code: 'unsupported_content_encoding',
        message: expect.stringContaining('"gzip"'),
      });
    }
    const text = await post(server, '/v1/completions', '{}', { 'content-type': 'text/plain' });
    expect((await expectError(text, 415)).code).toBe('unsupported_content_type');
  });
});

describe('names', () => {
  test('of models may hold slashes and are only looked up', async () => {
    const server = await startServer({ models: [{ id: 'Qwen/Qwen3', path: 'fake:qwen' }] });
    for (const name of ['Qwen/Qwen3', 'Qwen%2FQwen3']) {
      expect(await (await fetch(`${server.url}/v1/models/${name}`)).json()).toMatchObject({
        id: 'Qwen/Qwen3',
        object: 'model',
        owned_by: 'subzero',
        parent: null,
        loaded: true,
        context_length: 512,
      });
    }
    const loads = server.engine.loadRequests.length;
    for (const name of [
      '..%2F..%2Fetc',
      '%2Fetc%2Fpasswd',
      'fake:qwen',
      'constructor',
      '%00',
      '%FF',
      'x'.repeat(300),
    ]) {
      expect((await expectError(await fetch(`${server.url}/v1/models/${name}`), 404)).code).toBe('model_not_found');
      await expectError(await fetch(`${server.url}/v1/models/${name}`, { method: 'DELETE' }), 404);
    }
    const asked = await post(server, '/v1/completions', { model: '../etc', prompt: 'x' });
    expect(await expectError(asked, 404)).toMatchObject({ param: 'model', code: 'model_not_found' });
    expect(server.engine.loadRequests).toHaveLength(loads);
  });

  test('of routes that do not exist', async () => {
    const server = await startServer();
    for (const [method, path] of [
      ['GET', '/v1'],
      ['GET', '/v1/completions/'],
      ['DELETE', '/v1/nothing'],
    ] as const) {
      expect((await expectError(await fetch(server.url + path, { method }), 404)).code).toBe('unknown_url');
    }
  });

  test('of routes that exist for another method, which is named', async () => {
    const server = await startServer();
    for (const [method, path, allow] of [
      ['POST', '/', 'GET'],
      ['PUT', '/v1/files', 'GET, POST'],
      ['GET', '/v1/completions', 'POST'],
      ['POST', '/v1/models', 'GET'],
      ['POST', '/v1/models/a/b', 'GET, DELETE'],
      ['GET', '/v1/fine_tuning/jobs/ftjob-1/pause', 'POST'],
    ] as const) {
      const response = await fetch(server.url + path, { method });
      expect(response.headers.get('allow')).toBe(allow);
      expect((await expectError(response, 405)).code).toBe('method_not_allowed');
    }
  });
});

test('every request has an id and a line in the log without its secrets', async () => {
  const server = await startServer({ apiKey: 'sk-very-secret' });
  const response = await fetch(`${server.url}/v1/models`, { headers: { authorization: 'Bearer sk-very-secret' } });
  const id = response.headers.get('x-request-id');
  expect(id).toMatch(/^req_\w{24}$/);
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  const lines = server.logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.find(({ requestId }) => requestId === id)).toMatchObject({
    level: 'info',
    message: 'request',
    method: 'GET',
    path: '/v1/models',
    status: 200,
    milliseconds: expect.any(Number),
  });
  expect(server.logLines.join('\n')).not.toContain('very-secret');
});

test('a taken port is an error that says so, and leaves the data directory free', async () => {
  const server = await startServer();
  const port = Number(new URL(server.url).port);
  const dataDirectory = temporaryDirectory();
  await expect(startServer({ port, dataDirectory })).rejects.toMatchObject({
    code: 'io',
    message: expect.stringContaining('another program uses that port'),
  });
  const second = await startServer({ dataDirectory });
  await uploadExamples(second);
});

test('a data directory that cannot be made is an error that says so', async () => {
  const options = { engine: new FakeEngine(), models: [], port: 0, logLevel: 'silent' as const };
  // Node's own way of making folders with their parents never returns here.
  for (const dataDirectory of ['/proc/subzero', '/proc/subzero/data']) {
    await expect(serve({ ...options, dataDirectory })).rejects.toMatchObject({
      code: 'io',
      parameter: 'dataDirectory',
      message: expect.stringContaining('cannot create the data directory'),
    });
  }
});
