/**
 * Training in a process that is killed again and again, as a machine that fails would do it.
 *
 * @module
 */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { LocalEngine } from '../../src/engine/local.ts';
import { openJournal, type StepRecord } from '../../src/zo/journal.ts';
import { recordsOf, temporaryFolder } from './tiny.ts';

const launcher = fileURLToPath(new URL('../../bin/subzero.mjs', import.meta.url));

/** Uniform numbers in [0, 1) from a seed (mulberry32), so that a failure can be looked at again. */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** When to kill: some milliseconds after a number of steps were announced (0 = after the start of the process). */
export interface Moment {
  afterSteps: number;
  milliseconds: number;
}

export interface Ending {
  /** Whether the process was killed, and did not end by itself before. */
  killed: boolean;
  code: number | null;
  /** The last step that it announced. */
  announced: number;
  errors: string;
}

const killWithin = new URL('./kill-within.ts', import.meta.url).href;

/**
 * Runs `subzero train` with JSON output, and kills it with SIGKILL.
 * @param when the moment, or the place by kill-within.ts
 */
export async function trainAndKill(parameters: readonly string[], when: Moment | string | undefined): Promise<Ending> {
  const within = typeof when === 'string' ? when : undefined;
  const moment = typeof when === 'string' ? undefined : when;
  const child = spawn(
    process.execPath,
    [...(within ? ['--import', killWithin] : []), launcher, 'train', ...parameters, '--json'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...(within ? { SUBZERO_TEST_KILL: within } : {}) },
    },
  );
  let errors = '';
  let announced = 0;
  let steps = 0;
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const kill = async (): Promise<void> => {
    await sleep(moment!.milliseconds);
    child.kill('SIGKILL');
  };
  if (moment?.afterSteps === 0) void kill();
  const lines = createInterface(child.stdout);
  lines.on('line', (line) => {
    const event = JSON.parse(line) as { type: string; step: number };
    if (event.type !== 'step') return;
    announced = event.step;
    steps++;
    if (moment && steps === moment.afterSteps) void kill();
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on('close', (exit, by) => resolve([exit, by]));
  });
  return { killed: signal === 'SIGKILL', code, announced, errors };
}

/** What a run went through until it was finished. */
export interface Ordeal {
  kills: number;
  /** The step in the journal at each kill. */
  steps: number[];
}

/** A run that is killed. */
interface Plan {
  steps: number;
  /** Kills that must happen; they bound the steps that each process gets before it is killed. */
  atLeast: number;
  seed: number;
  /** Where each process is killed, by kill-within.ts; at random moments by default. */
  places?: readonly string[];
}

/**
 * Trains to the end through kills at random moments, or at places.
 *
 * @param start the parameters that begin the run in folder `run`; `resume`, those that go on with it besides
 * @throws Error if a process fails by itself, or a step that was announced is missing from the journal
 */
export async function trainThroughKills(
  start: readonly string[],
  run: string,
  { steps, atLeast, seed, resume = [], places }: Plan & { resume?: readonly string[] },
): Promise<Ordeal> {
  const random = randomNumbers(seed);
  const journal = join(run, 'journal.subzero');
  const ordeal: Ordeal = { kills: 0, steps: [] };
  // On average a quarter of what each process may do, because between the order to kill and the end there are more
  // steps.
  const most = Math.max(1, Math.floor(steps / atLeast / 2));
  for (;;) {
    const begun = existsSync(journal);
    const afterSteps = Math.floor(random() * (most + 1));
    const moment: Moment = { afterSteps, milliseconds: random() * (afterSteps === 0 ? 600 : 15) };
    const ending = await trainAndKill(
      begun ? ['--resume', run, ...resume] : start,
      ordeal.kills < atLeast ? (places?.[ordeal.kills] ?? moment) : undefined,
    );
    if (!ending.killed) {
      if (ending.code === 0) return ordeal;
      throw new Error(`the process ended with ${ending.code}: ${ending.errors}`);
    }
    ordeal.kills++;
    if (!existsSync(journal)) {
      if (ending.announced > 0) throw new Error(`step ${ending.announced} was announced without a journal`);
      continue;
    }
    const { records } = await openJournal(journal);
    if (records.length < ending.announced) {
      throw new Error(`step ${ending.announced} was announced; the journal ends at ${records.length}`);
    }
    ordeal.steps.push(records.length);
  }
}

/** What a run that was killed and one that was not have in common: everything. */
export interface KilledAndWhole {
  ordeal: Ordeal;
  records: Record<'whole' | 'killed', readonly StepRecord[]>;
  /** What they trained: the file of exported weights, or of an adapter. */
  weights: Record<'whole' | 'killed', Buffer>;
}

/**
 * Trains twice with the same parameters, undisturbed and through kills, and exports both.
 *
 * @param parameters of `subzero train`, without the run folder and the number of steps
 * @param peft export what the scheme adds to the model, instead of the model's weights
 * @throws Error as {@link trainThroughKills}
 */
export async function trainWholeAndKilled(
  parameters: readonly string[],
  { peft = false, ...plan }: Plan & { peft?: boolean },
): Promise<KilledAndWhole> {
  const folder = temporaryFolder();
  const start = (out: string): string[] => [...parameters, '--out', join(folder, out), '--steps', String(plan.steps)];
  const whole = await trainAndKill(start('whole'), undefined);
  if (whole.code !== 0) throw new Error(`the undisturbed run ended with ${whole.code}: ${whole.errors}`);
  const ordeal = await trainThroughKills(start('killed'), join(folder, 'killed'), plan);
  const engine = await LocalEngine.open();
  const weightsOf = async (run: string): Promise<Buffer> => {
    const out = join(folder, `${run} exported`);
    await engine.exportRun({ run: join(folder, run), format: peft ? 'peft' : 'safetensors', out });
    return readFileSync(join(out, peft ? 'adapter_model.safetensors' : 'model.safetensors'));
  };
  try {
    return {
      ordeal,
      records: { whole: await recordsOf(join(folder, 'whole')), killed: await recordsOf(join(folder, 'killed')) },
      weights: { whole: await weightsOf('whole'), killed: await weightsOf('killed') },
    };
  } finally {
    await engine.close();
  }
}
