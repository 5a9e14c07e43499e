/**
 * `bench serve`: how long requests wait for their first token and how much text comes out, with the GPU idle and while
 * a job trains; how much of its speed the training keeps; and whether the HTTP thread stays responsive. The real server
 * runs in a process of its own.
 *
 * @module
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SubzeroError } from '../src/errors.ts';
import { mean } from '../src/experiments/statistics.ts';
import { short, table } from '../src/table.ts';
import { type Timing, TrainingJob, timedCompletion } from './serve/client.ts';
import type { EventLoopDelay } from './serve/process.ts';

export const usage = `npm run bench -- serve [options]
  --model DIR          model to serve and train (default examples/reviews-3m)
  --requests N         requests of the light load, per round (default 30)
  --every MS           milliseconds from one to the next (default 2000)
  --tokens T           tokens of each answer (default 16)
  --clients LIST       numbers of parallel clients (default 1,4,8)
  --rounds N           idle and training take turns so many times (default 2)
  --json FILE          write the figures`;

const modelDirectory = fileURLToPath(new URL('../examples/reviews-3m', import.meta.url));
const dataFile = fileURLToPath(new URL('../examples/sst2/train.jsonl', import.meta.url));

/** Seconds for which the speed of training alone is measured. */
const aloneSeconds = 15;

/** Seconds for which a job trains before anything is measured: it loads, and its kernels are compiled. */
const settleSeconds = 5;

/** Requests of each client where throughput is measured. */
const requestsPerClient = 6;

/** What one state of the server (idle or training) gave, over all rounds. */
interface State {
  light: Timing[];
  /** Tokens per second, by the number of clients. */
  throughput: Map<number, number[]>;
  delays: EventLoopDelay[];
}

interface Settings {
  requests: number;
  every: number;
  tokens: number;
  clients: number[];
  rounds: number;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

function settingsOf(values: Record<'requests' | 'every' | 'tokens' | 'clients' | 'rounds', string>): Settings {
  const whole = (name: keyof typeof values, text = values[name]): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1) return value;
    throw new SubzeroError('invalid_argument', `--${name} must be made of whole numbers from 1; got "${values[name]}"`);
  };
  return {
    requests: whole('requests'),
    every: whole('every'),
    tokens: whole('tokens'),
    clients: values.clients.split(',').map((text) => whole('clients', text)),
    rounds: whole('rounds'),
  };
}

/** Requests at a steady pace, whether or not the one before has been answered. */
async function lightLoad(url: string, { requests, every, tokens }: Settings): Promise<Timing[]> {
  const answers: Promise<Timing>[] = [];
  const started = performance.now();
  for (let number = 0; number < requests; number++) {
    await sleep(Math.max(0, started + number * every - performance.now()));
    answers.push(timedCompletion(url, number, tokens));
  }
  return Promise.all(answers);
}

/** Tokens per second of clients that each send one request after another. */
async function throughput(url: string, clients: number, tokens: number): Promise<number> {
  const started = performance.now();
  const counts = await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      let sum = 0;
      for (let request = 0; request < requestsPerClient; request++) {
        sum += (await timedCompletion(url, client * requestsPerClient + request, 4 * tokens)).tokens;
      }
      return sum;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - started) / 1000);
}

export async function benchServe(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string', default: modelDirectory },
      requests: { type: 'string', default: '30' },
      every: { type: 'string', default: '2000' },
      tokens: { type: 'string', default: '16' },
      clients: { type: 'string', default: '1,4,8' },
      rounds: { type: 'string', default: '2' },
      json: { type: 'string' },
    },
  });
  const settings = settingsOf(values);
  const folder = mkdtempSync(join(tmpdir(), 'subzero-bench-'));
  const server = fork(fileURLToPath(new URL('./serve/process.ts', import.meta.url)), [values.model, folder]);
  const ended = once(server, 'exit').then(([code]) => {
    throw new SubzeroError('io', `the server ended with code ${code}`);
  });
  ended.catch(() => {});
  try {
    const [url] = (await Promise.race([once(server, 'message'), ended])) as [string];
    const loopDelay = async (): Promise<EventLoopDelay> => {
      server.send('delays');
      return ((await once(server, 'message')) as [EventLoopDelay])[0];
    };
    const figures = await Promise.race([measure(url, settings, loopDelay), ended]);
    print(figures, settings);
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report(figures), undefined, 2)}\n`);
    return 0;
  } finally {
    server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Figures {
  idle: State;
  training: State;
  /** Steps per second without requests, under light load, and under each number of clients. */
  alone: number[];
  loaded: Map<string, number[]>;
}

async function measure(url: string, settings: Settings, loopDelay: () => Promise<EventLoopDelay>): Promise<Figures> {
  const state = (): State => ({ light: [], throughput: new Map(), delays: [] });
  const figures: Figures = { idle: state(), training: state(), alone: [], loaded: new Map() };
  const add = <Key>(map: Map<Key, number[]>, key: Key, value: number): void => {
    map.set(key, [...(map.get(key) ?? []), value]);
  };
  const visit = async (into: State, job?: TrainingJob): Promise<void> => {
    const stepsUnder = async (load: string, work: () => Promise<void>): Promise<void> => {
      const started = performance.now();
      await work();
      if (job) add(figures.loaded, load, job.stepsPerSecond(started));
    };
    await stepsUnder('light load', async () => {
      await loopDelay();
      into.light.push(...(await lightLoad(url, settings)));
      into.delays.push(await loopDelay());
    });
    for (const clients of settings.clients) {
      await stepsUnder(`${clients} clients`, async () => {
        add(into.throughput, clients, await throughput(url, clients, settings.tokens));
      });
    }
  };

  // Kernels are compiled by the first requests.
  for (let number = 0; number < 3; number++) await timedCompletion(url, number, settings.tokens);
  let job: TrainingJob | undefined;
  for (let round = 0; round < settings.rounds; round++) {
    await visit(figures.idle);
    if (job) await job.resume();
    else job = await TrainingJob.start(url, dataFile);
    await sleep(settleSeconds * 1000);
    const started = performance.now();
    await sleep(aloneSeconds * 1000);
    figures.alone.push(job.stepsPerSecond(started));
    await visit(figures.training, job);
    await job.pause();
  }
  return figures;
}

/** The figures as plain numbers; milliseconds, tokens per second, steps per second. */
function report({ idle, training, alone, loaded }: Figures) {
  const summary = ({ light, throughput: rates, delays }: State) => ({
    firstTokenP50: percentile(
      light.map(({ firstToken }) => firstToken),
      0.5,
    ),
    firstTokenP99: percentile(
      light.map(({ firstToken }) => firstToken),
      0.99,
    ),
    requests: light.length,
    tokensPerSecond: Object.fromEntries([...rates].map(([clients, values]) => [clients, mean(values)])),
    eventLoopDelayP99: Math.max(...delays.map(({ p99 }) => p99)),
  });
  return {
    idle: summary(idle),
    training: summary(training),
    stepsPerSecond: {
      alone: mean(alone),
      ...Object.fromEntries([...loaded].map(([load, values]) => [load, mean(values)])),
    },
  };
}

function print(figures: Figures, { clients, requests, every, tokens, rounds }: Settings): void {
  const { idle, training, stepsPerSecond } = report(figures);
  console.log(`light load: ${rounds} × ${requests} requests of ${tokens} tokens, one every ${every} ms\n`);
  const row = (name: string, of: (state: typeof idle) => number): string[] => [
    name,
    short(of(idle)),
    short(of(training)),
    short(of(training) / of(idle)),
  ];
  console.log(
    table(
      ['figure', 'idle', 'training', 'ratio'],
      [
        row('first token, p50, ms', ({ firstTokenP50 }) => firstTokenP50),
        row('first token, p99, ms', ({ firstTokenP99 }) => firstTokenP99),
        ...clients.map((count) =>
          row(`tokens/s, ${count} client${count > 1 ? 's' : ''}`, ({ tokensPerSecond }) => tokensPerSecond[count]!),
        ),
        row('event-loop delay, p99, ms', ({ eventLoopDelayP99 }) => eventLoopDelayP99),
      ],
    ),
  );
  const speeds = Object.entries(stepsPerSecond) as [string, number][];
  console.log(
    `\n${table(
      ['training', 'steps/s', 'of its speed'],
      speeds.map(([load, value]) => [load, short(value), `${((100 * value) / stepsPerSecond.alone).toFixed(0)} %`]),
    )}`,
  );
}
