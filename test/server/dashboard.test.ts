import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { operations } from '../../server/dashboard/operations.js';
import { dashboardFiles } from '../../server/routes/dashboard.ts';
import { wireName } from '../../server/setting-names.ts';
import { withSettings } from '../../server/settings-form.ts';
import { methods, optimizerNames } from '../../src/settings/methods.ts';
import { schemeNames } from '../../src/settings/schemes.ts';
import { settingNames } from '../../src/settings/settings.ts';
import { expectError, startServer } from './harness.ts';

const folder = new URL('../../server/dashboard/', import.meta.url);
const page = withSettings(readFileSync(new URL('index.html', folder), 'utf8'));
const scripts = readdirSync(folder).filter((name) => name.endsWith('.js'));
const scriptText = (name: string) => readFileSync(new URL(name, folder), 'utf8');
const chartModules = readdirSync(new URL('../../src/chart/', folder)).map((name) => `../../src/chart/${name}`);
const root = new URL('../../', import.meta.url);
const inPackage = (path: string) => readdirSync(new URL(path, root)).map((name) => `${path}${name}`);

describe('assets', () => {
  test('every file of the folder is served with its type, a policy and a tag; nothing else is', async () => {
    const { url } = await startServer();
    const files = ['server/dashboard/', 'src/chart/'].flatMap(inPackage);
    expect([...dashboardFiles.values()].sort()).toEqual(files.sort());
    const types = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
    for (const [path, file] of dashboardFiles) {
      const response = await fetch(url + path);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toContain(types[file.split('.').at(-1) as keyof typeof types]);
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
      expect(response.headers.get('cache-control')).toBe('no-cache');
      const expected = path === '/' ? page : readFileSync(new URL(file, root), 'utf8');
      expect(await response.text()).toBe(expected);

      const policy = response.headers.get('content-security-policy')!;
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toMatch(/unsafe|\*|http|data:/);

      const tag = response.headers.get('etag')!;
      const again = await fetch(url + path, { headers: { 'if-none-match': tag } });
      expect({ status: again.status, body: await again.text() }).toEqual({ status: 304, body: '' });
    }
    for (const path of [
      '/dashboard/',
      '/dashboard/jobs.ts',
      '/dashboard/..%2fstore.ts',
      '/index.html',
      '/dashboard/x.js',
    ]) {
      await expectError(await fetch(url + path), 404);
    }
  });

  test('they open without the key, the API behind them does not', async () => {
    const { url } = await startServer({ apiKey: 'k' });
    for (const path of dashboardFiles.keys()) expect((await fetch(url + path)).status).toBe(200);
    for (const [method, path] of Object.values(operations)) {
      await expectError(await fetch(url + path.replace(/\{\w+\}/, 'x'), { method }), 401);
    }
  });
});

describe('the page', () => {
  test('keeps to its policy: nothing inline, nothing from elsewhere, text never as markup', () => {
    expect(page).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/);
    const texts = [page, ...[...scripts, 'style.css', ...chartModules].map(scriptText)];
    for (const text of texts) {
      expect(text.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:\/\/|url\((?!#)|@import/);
      expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/);
    }
  });

  test('every file that it or its scripts name is served', () => {
    const named = [...page.matchAll(/(?:src|href)="(\/dashboard\/[^"]+)"/g)].map((match) => match[1]!);
    for (const [path, file] of dashboardFiles) {
      if (!path.endsWith('.js')) continue;
      const text = readFileSync(new URL(file, root), 'utf8');
      // As a browser resolves them.
      for (const [, imported] of text.matchAll(/from '([^']+)'/g)) {
        named.push(new URL(imported!, `http://server${path}`).pathname);
      }
    }
    expect(named.length).toBeGreaterThan(10);
    expect(named).toContain('/src/chart/shape.js');
    expect(named.filter((path) => !dashboardFiles.has(path))).toEqual([]);
  });

  test('every request that it makes is in the description of the API', async () => {
    const { url } = await startServer();
    const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> };
    const missing = Object.values(operations).filter(
      ([method, path]) => !(method.toLowerCase() in (paths[path] ?? {})),
    );
    expect(missing).toEqual([]);
    // Paths stand nowhere but in that one list.
    for (const name of scripts.filter((script) => script !== 'operations.js')) {
      expect(scriptText(name)).not.toMatch(/['"`]\/(v1|health|ready|metrics)\b/);
    }
  });

  test('every field has a name that a screen reader can say, every script finds its elements', () => {
    const labelled = new Set([...page.matchAll(/<label for="([^"]+)"/g)].map((match) => match[1]!));
    const ids = [...page.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]!);
    expect(new Set(ids).size).toBe(ids.length);
    for (const match of page.matchAll(/<(input|select|textarea)\b[^>]*>/g)) {
      const before = page.slice(0, match.index);
      const inLabel = before.lastIndexOf('<label') > before.lastIndexOf('</label>');
      const id = /\sid="([^"]+)"/.exec(match[0])?.[1];
      expect(inLabel || labelled.has(id ?? ''), match[0]).toBe(true);
    }
    for (const name of scripts) {
      for (const [, id] of scriptText(name).matchAll(/\bfind\(\s*'([^']+)'/g)) expect(ids).toContain(id);
    }
  });
});

test('the form of a job offers every setting, and hides those without effect', () => {
  const form = page.slice(page.indexOf('<form id="job-form"'), page.indexOf('</form>'));
  const optionsOf = (name: string): [value: string, title: string][] => {
    const select = form.slice(form.indexOf(`<select name="${name}"`));
    const found = select.slice(0, select.indexOf('</select>')).matchAll(/<option value="([^"]*)"[^>]*>([^<]+)/g);
    return [...found].map((match) => [match[1]!, match[2]!]);
  };
  expect(optionsOf('optimizer')).toEqual(optimizerNames.map((name) => [name, methods[name].title]));
  expect(optionsOf('scheme').map(([name]) => name)).toEqual(schemeNames);
  // Some have defaults of their own for it.
  expect(optionsOf('sides').map(([value]) => value)).toEqual(['', '1', '2']);
  const fields = [...form.matchAll(/<(?:input|select)[^>]* name="([^"]+)" data-type/g)].map((match) => match[1]!);
  expect(fields.toSorted()).toEqual(settingNames.map(wireName).toSorted());
  const labelOf = (name: string) =>
    form
      .slice(0, form.indexOf(` name="${name}"`))
      .split('<label')
      .at(-1);
  expect(labelOf('lora_rank')).toMatch(/ data-schemes="lora[^"]*">LoRA rank/);
  expect(labelOf('rank')).toMatch(/ data-optimizers="subzero subzero-plus[^"]*">/);
  expect(labelOf('adam_beta1')).toMatch(/ data-optimizers="subzero-plus mezo[^"]*">/);
  expect(labelOf('steps')).not.toContain('data-');
  expect(form).not.toContain('<!-- setting');
});

test('/v1/device tells the adapter and the memory by what it holds', async () => {
  const { url } = await startServer();
  expect(await (await fetch(`${url}/v1/device`)).json()).toMatchObject({
    object: 'device',
    adapter: { description: 'fake adapter', software: true },
    memory: { live_bytes: 1000, peak_bytes: 2000, by_category: { weights: 900, activations: 100 } },
  });
});
