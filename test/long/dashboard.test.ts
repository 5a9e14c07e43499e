/**
 * The dashboard in a real browser, from the key to the comparison of models, by keyboard where a person would. Pictures
 * of it are left in `runs/screenshots`.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonLines } from '../server/harness.ts';
import { type RealServer, sentimentExamples, startRealServer } from '../server/real-server.ts';
import { findBrowser, Page } from './browser.ts';

const program = findBrowser();
const pictures = fileURLToPath(new URL('../../runs/screenshots/', import.meta.url));
const apiKey = 'key-of-the-dashboard-test';

const text = (selector: string) => `document.querySelector('${selector}').textContent`;
const click = (selector: string) => `document.querySelector('${selector}').click()`;
const pathLength = `document.querySelector('#charts path.train').getAttribute('d').length`;

describe.skipIf(program === undefined)('the dashboard (needs chromium; skipped where none is installed)', () => {
  let server: RealServer;
  let page: Page;

  beforeAll(async () => {
    mkdirSync(pictures, { recursive: true });
    server = await startRealServer({ apiKey });
    page = await Page.open(program!);
    await page.setView({ width: 1280, height: 900 });
    await page.goTo(server.url);
  });

  afterAll(async () => {
    await page?.close();
    await server?.close();
  });

  /** Writes over what the field holds. */
  async function fill(name: string, value: string): Promise<void> {
    await page.evaluate(`document.querySelector('#job-form [name="${name}"]').select()`);
    expect(await page.evaluate('document.activeElement.name')).toBe(name);
    await page.type(value);
  }

  async function choose(name: string, file: string, lines: string): Promise<void> {
    const path = join(server.dataDirectory, file);
    writeFileSync(path, lines);
    await page.chooseFile(`input[data-for="${name}"]`, path);
  }

  test('asks for the key until it is right', async () => {
    await page.until(`document.querySelector('#key-dialog').open && document.activeElement.id === 'key-input'`);
    await page.type('wrong');
    await page.press('Enter');
    await page.until(`document.querySelector('#key-dialog').open && ${text('#key-reason')}.includes('not the key')`);
    await page.screenshot(join(pictures, 'key.png'));
    await page.type(apiKey);
    await page.press('Enter');
    await page.until(`${text('#model-rows')}.includes('reviews-3m')`);
    await page.until(`document.querySelector('#connection').classList.contains('up')`);
    expect(await page.evaluate(text('#memory'))).toMatch(/\d MiB in use/);
    expect(await page.evaluate(`document.querySelector('#key-dialog').open`)).toBe(false);
    // The 401s on the way are in the browser's log, and nothing else.
    expect(page.problems.filter((problem) => !problem.includes('401'))).toEqual([]);
    page.problems.length = 0;
  });

  test('names the faulty line of a file and the field of a wrong setting', async () => {
    await choose('training_file', 'bad.jsonl', '{"prompt": "a", "completion": " b"}\n{"prompt": 1}\n');
    await page.until(`${text('#job-error')}.includes('bad.jsonl:2')`);
    const lines = jsonLines(sentimentExamples(24));
    await choose('training_file', 'mood.jsonl', lines);
    await page.until(`document.querySelector('#training-file').value !== ''`);
    await choose('validation_file', 'valid.jsonl', lines);
    await page.until(`document.querySelector('#validation-file').value !== ''`);
    await page.evaluate(click('#job-form summary'));
    await fill('rank', '9999');
    await page.press('Enter');
    await page.until(`document.querySelector('#job-form [name="rank"]').getAttribute('aria-invalid') === 'true'`);
    expect(await page.evaluate(text('#job-error'))).toContain('rank must be between 1 and 256');
    expect(await page.evaluate('document.activeElement.name')).toBe('rank');
    await page.screenshot(join(pictures, 'form.png'));
    page.problems.length = 0;
  });

  test('starts a job, the charts move, pause and resume work, the job succeeds', async () => {
    await fill('rank', '4');
    await fill('steps', '80');
    await fill('batch_size', '4');
    await fill('evaluate_every', '20');
    await fill('suffix', 'mood');
    await page.press('Enter');
    await page.until(`document.querySelector('#job-title').textContent === 'mood'`);
    await page.until(`document.querySelectorAll('#charts path.train').length > 0`, 60);
    const before = await page.evaluate<number>(pathLength);
    await page.until(`${pathLength} > ${before}`, 60);

    await page.evaluate(click('#pause'));
    await page.until(`${text('#job-state')}.startsWith('paused')`, 60);
    const paused = await page.evaluate<string>(text('#job-state'));
    await page.evaluate(click('#resume'));
    await page.until(`${text('#job-state')}.startsWith('running') && ${text('#job-state')} !== '${paused}'`, 60);
    await page.until(`${text('#job-state')}.startsWith('succeeded · step 80 of 80')`, 180);
    expect(await page.evaluate(`document.querySelectorAll('#charts figure:not([hidden])').length`)).toBe(3);
    expect(await page.evaluate(`document.querySelectorAll('#charts circle').length`)).toBe(8);
    expect(await page.evaluate(text('#job-log'))).toContain('Training resumed after step');
    expect(page.problems).toEqual([]);
  });

  test('charts can be read with the arrow keys', async () => {
    await page.evaluate(`document.querySelector('#charts figure').focus()`);
    await page.press('ArrowLeft');
    await page.press('ArrowLeft');
    await page.until(`${text('#charts figure output')}.startsWith('step 79')`);
    expect(await page.evaluate(`document.querySelector('#charts figure').getAttribute('aria-label')`)).toMatch(
      /^Loss over 80 steps; latest: training [\d.]+, validation [\d.]+/,
    );
  });

  test('compares base and tuned model, streaming side by side', async () => {
    await page.evaluate(click('#compare'));
    expect(await page.evaluate('document.activeElement.name')).toBe('prompt');
    const chosen = await page.evaluate<string[]>(
      `[...document.querySelectorAll('#panes select')].map((select) => select.value)`,
    );
    expect(chosen).toEqual(['reviews-3m', expect.stringMatching(/^ft:reviews-3m:mood:/)]);
    const control = 2;
    await page.press('Enter', control);
    await page.until(
      `[...document.querySelectorAll('.statistics')].every((line) => / tokens\\/s$/.test(line.textContent))`,
      60,
    );
    const answers = await page.evaluate<string[]>(
      `[...document.querySelectorAll('.answer')].map((answer) => answer.textContent)`,
    );
    for (const answer of answers) expect(answer).toMatch(/^a wonderful movie \. It was \S/);
    expect(await page.evaluate(`document.querySelectorAll('.likely meter').length`)).toBe(10);
    expect(page.problems).toEqual([]);
  });

  test('lists step runs while there are some', async () => {
    expect(await page.evaluate(`document.querySelector('#step-runs').hidden`)).toBe(true);
    const response = await fetch(`${server.url}/v1/zo/runs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ model: 'reviews-3m', hyperparameters: { steps: 50, rank: 2 } }),
    });
    const { id } = (await response.json()) as { id: string };
    await page.until(`${text('#step-run-rows')}.includes('${id}')`);
    expect(await page.evaluate(text('#step-run-rows'))).toContain('0 of 50');
  });

  test('fits a screen and a phone, light and dark, and asks nobody but its server', async () => {
    for (const [name, width, dark, phone] of [
      ['light', 1280, false, false],
      ['dark', 1280, true, false],
      ['tablet', 768, false, false],
      ['phone', 390, true, true],
    ] as const) {
      await page.setView({ width, height: 900, dark, phone });
      await page.until(`innerWidth === ${width}`);
      await page.evaluate('new Promise((resolve) => setTimeout(resolve, 300))');
      await page.screenshot(join(pictures, `${name}.png`));
      expect(await page.evaluate('document.documentElement.scrollWidth'), name).toBeLessThanOrEqual(width);
    }
    expect(page.requests.length).toBeGreaterThan(20);
    expect(page.requests.filter((url) => !url.startsWith(`${server.url}/`))).toEqual([]);
  });
});
