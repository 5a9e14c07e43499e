/**
 * What is written about the HTTP service is true: the README's curl lines run as they stand, and the document names
 * every endpoint and setting.
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelId, type RealServer, startRealServer } from './real-server.ts';

const textOf = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
const documentText = textOf('docs/http-api.md');

/** The code blocks of one section. */
function blocks(text: string, heading: string): string[] {
  const section = text.split(/^## /m).find((part) => part.startsWith(heading))!;
  return [...section.matchAll(/^```bash\n(.*?)^```$/gms)].map((match) => match[1]!);
}

let server: RealServer;
let directory: string;

beforeAll(async () => {
  server = await startRealServer();
  directory = mkdtempSync(join(tmpdir(), 'subzero curl '));
});

afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Runs a script as a person's shell would, except that it stops at the first failure. */
async function bash(script: string): Promise<string> {
  // bash reads the machine's start-up files where its standard input is a socket, as a parent without a terminal may
  // give it.
  const child = spawn('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let problems = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (problems += data));
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect({ code, problems }, output).toEqual({ code: 0, problems: '' });
  return output;
}

test('the ten curl lines go from upload to tuned completion', async () => {
  const [data, variables, lines, ...others] = blocks(textOf('README.md'), 'Ten curl lines');
  expect(others).toEqual([]);
  const curlLines = lines!.trim().split('\n');
  expect(curlLines).toHaveLength(10);
  for (const line of curlLines) expect(line).toMatch(/^([A-Z]+=\$\()?curl -/);
  expect(variables).toContain('URL=http://127.0.0.1:8080\n');

  // Only the address differs; a mark after each line tells the answers apart.
  const marked = curlLines.map((line) => `${line}\necho; echo =====`).join('\n');
  const script = [data, variables!.replace('http://127.0.0.1:8080', server.url), marked].join('\n');
  const answers = (await bash(script)).split('=====').map((answer) => answer.trim());
  expect(answers.filter((answer) => answer.startsWith('{"error"'))).toEqual([]);
  const parsed = (line: number) => JSON.parse(answers[line - 1]!);

  expect(parsed(1).data[0].id).toBe(modelId);
  expect(parsed(2).choices[0].text).toBe(' good');
  expect(parsed(5).status).toBe('paused');
  expect(['queued', 'running']).toContain(parsed(6).status);
  expect(answers[6]).toContain('Step 60/60');
  expect(answers[6]).toMatch(/data: \[DONE\]$/);
  expect(parsed(8).data[0].step_number).toBe(60);
  const last = parsed(10);
  expect(last.model).toMatch(/^ft:reviews-3m:mood:/);
  expect(last.choices[0].text).toBe(' great');
}, 300_000);

test('the curl line that scores a text runs as it stands', async () => {
  const [, variables] = blocks(textOf('README.md'), 'Ten curl lines');
  const line = blocks(documentText, 'Reference').find((block) => block.includes('"echo"'))!;
  const [answer] = (await bash([variables!.replace('http://127.0.0.1:8080', server.url), line].join('\n'))).split('\n');
  const { text, logprobs } = JSON.parse(answer!).choices[0];
  expect(text).toBe('The film was great');
  expect(logprobs.tokens).toEqual(['<|endoftext|>', 'The', ' film', ' was', ' great']);
  expect(logprobs.token_logprobs[0]).toBeNull();
});

test('the curl lines of a loop of your own run as they stand', async () => {
  const [, variables] = blocks(textOf('README.md'), 'Ten curl lines');
  const lines = blocks(documentText, 'Reference')
    .find((block) => block.includes('/v1/zo/runs'))!
    .trim();
  const marked = lines.replaceAll('\n', '\necho; echo =====\n');
  const script = [variables!.replace('http://127.0.0.1:8080', server.url), marked].join('\n');
  const answers = (await bash(script))
    .split('=====')
    .map((answer) => answer.trim())
    .filter((answer) => answer !== '')
    .map((answer) => JSON.parse(answer));
  expect(answers.map(({ object, step }) => [object, step])).toEqual([
    ['zo.run.forward', 0],
    ['zo.run.probe', 1],
    ['zo.run.apply', 1],
    ['zo.run.step', 2],
    ['zo.run.sample', undefined],
    ['zo.run', 2],
    ['zo.run', undefined],
    ['zo.run', undefined],
  ]);
});

test('the document names every operation', async () => {
  const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: Record<string, object> };
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `**\`${method.toUpperCase()} ${path}\`**`),
  );
  expect(operations.length).toBeGreaterThan(20);
  expect(operations.filter((operation) => !documentText.includes(operation))).toEqual([]);
});
