/** The service in an application of one's own: without a listener. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { afterAll, expect, test } from 'vitest';
import { createApplication } from '../../server/index.ts';
import { FakeEngine } from './fake-engine.ts';

const temporary = mkdtempSync(join(tmpdir(), 'subzero-application-'));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

const options = { dataDirectory: join(temporary, 'data'), logLevel: 'silent' as const, graceSeconds: 0.1 };

test('it serves what the engine has loaded, below any prefix', async () => {
  const engine = new FakeEngine();
  await engine.loadModel({ id: 'base', path: 'fake:base' });
  const service = await createApplication(engine, options);
  const site = new Hono();
  site.mount('/zo', service.fetch);
  const models = await (await site.request('/zo/v1/models')).json();
  expect(models.data.map(({ id }: { id: string }) => id)).toEqual(['base']);
  expect((await site.request('/zo/')).headers.get('content-type')).toBe('text/html; charset=utf-8');
  const outside = await site.request('http://elsewhere.example/zo/v1/models');
  expect(outside.status).toBe(403);
  await service.close();
});

test('it owns its data directory until it is closed', async () => {
  const engine = new FakeEngine();
  const models = [{ id: 'base', path: 'fake:base' }];
  const first = await createApplication(engine, { ...options, models });
  await expect(createApplication(engine, { ...options, models })).rejects.toMatchObject({ code: 'conflict' });
  await Promise.all([first.close(), first.close()]);
  const failing = [{ id: 'none', path: 'no/such/folder' }];
  await expect(createApplication(engine, { ...options, models: failing })).rejects.toMatchObject({ code: 'not_found' });
  const second = await createApplication(engine, { ...options, models, allowedHosts: ['mine.example'] });
  expect((await second.request('http://mine.example/v1/models')).status).toBe(200);
  await second.close();
});
