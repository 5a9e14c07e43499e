/**
 * A server on a free port with a fake engine, a client for it, and small helpers, all gone at the end of a test.
 *
 * @module
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';
import { expect, onTestFinished } from 'vitest';
import { type RunningServer, type ServeOptions, serve } from '../../server/serve.ts';
import { FakeEngine } from './fake-engine.ts';

export interface TestServer extends RunningServer {
  engine: FakeEngine;
  client: OpenAI;
  dataDirectory: string;
  logLines: string[];
}

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'subzero-server-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Starts a server that is stopped when the test ends. */
export async function startServer(options: Partial<ServeOptions> & { engine?: FakeEngine } = {}): Promise<TestServer> {
  const engine = (options.engine as FakeEngine | undefined) ?? new FakeEngine();
  const dataDirectory = options.dataDirectory ?? temporaryDirectory();
  const logLines: string[] = [];
  const server = await serve({
    models: [{ id: 'base', path: 'fake:base' }],
    port: 0,
    graceSeconds: 0.2,
    writeLog: (line) => logLines.push(line),
    ...options,
    engine,
    dataDirectory,
  });
  onTestFinished(() => server.close());
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: options.apiKey ?? 'unused', maxRetries: 0 });
  return { ...server, engine, client, dataDirectory, logLines };
}

export const trainingLines = [
  { prompt: 'The film was', completion: ' great' },
  { prompt: 'The play was', completion: ' terrible' },
];

export function jsonLines(objects: object[]): string {
  return `${objects.map((object) => JSON.stringify(object)).join('\n')}\n`;
}

/** Uploads a small valid file and returns its id. */
export async function uploadExamples({ client }: TestServer, lines: object[] = trainingLines): Promise<string> {
  const file = await toFile(Buffer.from(jsonLines(lines)), 'train.jsonl');
  return (await client.files.create({ file, purpose: 'fine-tune' })).id;
}

/** The body of a job with the settings of zeroth-order training. */
export function jobBody(trainingFile: string, hyperparameters: Record<string, unknown> = {}) {
  return {
    model: 'base',
    training_file: trainingFile,
    method: { type: 'zeroth_order', zeroth_order: { hyperparameters: { steps: 5, ...hyperparameters } } },
  } as unknown as OpenAI.FineTuning.JobCreateParams;
}

/** Polls until the condition holds. */
export async function until<T>(read: () => T | Promise<T>, holds: (value: T) => boolean, seconds = 30): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    if (Date.now() > deadline) throw new Error(`not reached in time; last: ${JSON.stringify(value)}`);
    await sleep(10);
  }
}

export async function jobWithStatus(server: TestServer, id: string, status: string) {
  return until(
    () => server.client.fineTuning.jobs.retrieve(id),
    (job) => (job.status as string) === status,
  );
}

export function post(server: { url: string }, path: string, body: unknown, headers: Record<string, string> = {}) {
  return fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** Asserts status and shape of a failure and returns the error object. */
export async function expectError(response: Response, status: number) {
  const body = (await response.json()) as { error: Record<string, unknown> };
  expect({ status: response.status, keys: Object.keys(body), error: Object.keys(body.error ?? {}).sort() }).toEqual({
    status,
    keys: ['error'],
    error: ['code', 'message', 'param', 'type'],
  });
  expect(body.error.message).toMatch(/\S/);
  expect(JSON.stringify(body)).not.toMatch(/\n\s+at /);
  return body.error as { message: string; type: string; param: string | null; code: string | null };
}

/** The data of server-sent events, parsed; `[DONE]` stays text. */
export function parseEvents(text: string): { id?: string; data: unknown }[] {
  return text
    .split('\n\n')
    .filter((block) => /^data:/m.test(block))
    .map((block) => {
      const data = /^data: (.*)$/m.exec(block)![1]!;
      const id = /^id: (.*)$/m.exec(block)?.[1];
      return { ...(id ? { id } : {}), data: data === '[DONE]' ? data : JSON.parse(data) };
    });
}
