/**
 * What `bench serve` does to the server: streamed completions, timed, and a training job that can be paused.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SubzeroError } from '../../src/errors.ts';

/** One streamed completion; times in milliseconds. */
export interface Timing {
  firstToken: number;
  total: number;
  tokens: number;
}

const prompts = ['The film was', 'I have never seen', 'In the end the story', 'A quiet little', 'The actors are'];

async function call(url: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  if (response.ok) return response;
  throw new SubzeroError('io', `${init?.method ?? 'GET'} ${url} answered ${response.status}: ${await response.text()}`);
}

function post(url: string, body: object = {}): Promise<Response> {
  return call(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

/** Asks for a completion of exactly so many tokens (the end of text is ruled out) and takes the times. */
export async function timedCompletion(url: string, number: number, maxTokens: number): Promise<Timing> {
  const started = performance.now();
  const response = await post(`${url}/v1/completions`, {
    model: 'model',
    prompt: prompts[number % prompts.length],
    max_tokens: maxTokens,
    seed: number,
    stream: true,
    logit_bias: { 0: -100 },
  });
  let firstToken = Number.NaN;
  let tokens = 0;
  let rest = '';
  const decoder = new TextDecoder();
  for await (const bytes of response.body!) {
    rest += decoder.decode(bytes as Uint8Array, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop()!;
    for (const event of events) {
      if (!event.startsWith('data: {')) continue;
      const [choice] = (JSON.parse(event.slice(6)) as { choices: { text: string; finish_reason: string | null }[] })
        .choices;
      if (!choice || choice.finish_reason !== null) continue;
      if (tokens++ === 0) firstToken = performance.now() - started;
    }
  }
  return { firstToken, total: performance.now() - started, tokens };
}

/** A training job over the example data, and the times at which its steps were announced. */
export class TrainingJob {
  readonly #jobs: string;
  /** Moments of `performance.now()`. */
  readonly steps: number[] = [];
  #failure: unknown;

  private constructor(url: string) {
    this.#jobs = url;
  }

  /** Uploads examples and starts a job that lasts longer than any bench. */
  static async start(url: string, dataFile: string): Promise<TrainingJob> {
    const lines = readFileSync(dataFile, 'utf8')
      .trim()
      .split('\n')
      .slice(0, 1000)
      .map((line) => JSON.parse(line) as { sentence: string; label: number })
      .map(({ sentence, label }) =>
        JSON.stringify({ prompt: `${sentence.trim()} It was`, options: [' terrible', ' great'], label }),
      );
    const form = new FormData();
    form.set('purpose', 'fine-tune');
    form.set('file', new Blob([`${lines.join('\n')}\n`]), 'train.jsonl');
    const file = (await (await call(`${url}/v1/files`, { method: 'POST', body: form })).json()) as { id: string };
    const hyperparameters = { steps: 100_000, batch_size: 16, rank: 8, learning_rate: 1e-6 };
    const body = {
      model: 'model',
      training_file: file.id,
      method: { type: 'zeroth_order', zeroth_order: { hyperparameters } },
    };
    const { id } = (await (await post(`${url}/v1/fine_tuning/jobs`, body)).json()) as { id: string };
    const job = new TrainingJob(`${url}/v1/fine_tuning/jobs/${id}`);
    void job.#listen();
    await job.runs();
    return job;
  }

  async #listen(): Promise<void> {
    try {
      const decoder = new TextDecoder();
      for await (const bytes of (await call(`${this.#jobs}/events?stream=true`)).body!) {
        const metrics = decoder.decode(bytes as Uint8Array, { stream: true }).match(/"type":"metrics"/g);
        for (const _ of metrics ?? []) this.steps.push(performance.now());
      }
    } catch (error) {
      this.#failure = error;
    }
  }

  /** Waits until steps are being made. */
  async runs(): Promise<void> {
    const before = this.steps.length;
    for (const deadline = performance.now() + 60_000; this.steps.length < before + 3; await sleep(20)) {
      if (this.#failure) throw this.#failure;
      if (performance.now() > deadline) throw new SubzeroError('io', 'the training job makes no steps');
    }
  }

  /** Steps per second since a moment. */
  stepsPerSecond(since: number): number {
    const times = this.steps.filter((time) => time >= since);
    return ((times.length - 1) * 1000) / (times.at(-1)! - times[0]!);
  }

  async pause(): Promise<void> {
    await post(`${this.#jobs}/pause`);
    for (;;) {
      const { status } = (await (await call(this.#jobs)).json()) as { status: string };
      if (status === 'paused') return;
      await sleep(20);
    }
  }

  async resume(): Promise<void> {
    await post(`${this.#jobs}/resume`);
    await this.runs();
  }
}
