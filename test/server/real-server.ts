/**
 * A server with the real engine on whatever adapter this machine has, for all tests of a file: opening a device and
 * compiling kernels takes longer than most of them.
 *
 * @module
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI, { toFile } from 'openai';
import { type ServeOptions, serve } from '../../server/serve.ts';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine } from '../../src/engine/types.ts';
import { jsonLines } from './harness.ts';

export const modelPath = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
export const modelId = 'reviews-3m';

export interface RealServer {
  url: string;
  client: OpenAI;
  engine: Engine;
  dataDirectory: string;
  logLines: string[];
  /** Stops the server, closes the engine, removes the data. */
  close(): Promise<void>;
}

export async function startRealServer(options: Partial<ServeOptions> = {}): Promise<RealServer> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'subzero-real-'));
  const engine = await openEngine();
  const logLines: string[] = [];
  const server = await serve({
    engine,
    models: [{ id: modelId, path: modelPath }],
    port: 0,
    dataDirectory,
    writeLog: (line) => logLines.push(line),
    ...options,
  });
  return {
    url: server.url,
    client: new OpenAI({ baseURL: `${server.url}/v1`, apiKey: options.apiKey ?? 'unused', maxRetries: 0 }),
    engine,
    dataDirectory,
    logLines,
    async close() {
      await server.close();
      await engine.close();
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}

/** Short sentences of SST-2 as prompts with two options, in the form that uploads take. */
export function sentimentExamples(count: number): { prompt: string; options: string[]; label: number }[] {
  const path = fileURLToPath(new URL('../../examples/sst2/train.jsonl', import.meta.url));
  return readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { sentence: string; label: number })
    .filter(({ sentence }) => sentence.length < 40)
    .slice(0, count)
    .map(({ sentence, label }) => ({ prompt: `${sentence.trim()} It was`, options: [' terrible', ' great'], label }));
}

export async function upload(client: OpenAI, examples: object[], name = 'train.jsonl'): Promise<string> {
  const file = await toFile(Buffer.from(jsonLines(examples)), name);
  return (await client.files.create({ file, purpose: 'fine-tune' })).id;
}

/** The smallest settings that still are training. */
export const quickTraining = {
  steps: 4,
  batch_size: 2,
  learning_rate: 1e-4,
  rank: 2,
  refresh_interval: 3,
};

/** The body of a job; OpenAI's types do not know the method. */
export function zerothOrderJob(trainingFile: string, hyperparameters: object = {}, extra: object = {}) {
  return {
    model: modelId,
    training_file: trainingFile,
    method: { type: 'zeroth_order', zeroth_order: { hyperparameters: { ...quickTraining, ...hyperparameters } } },
    ...extra,
  } as unknown as OpenAI.FineTuning.JobCreateParams;
}
