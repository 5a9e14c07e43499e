/**
 * Recordings: what an endpoint answers to the prompts of a file, kept as a golden set.
 *
 * The folder holds recording.json (whom was asked what, and what it took), answers.jsonl (a line for each answer, on
 * the disk before the next prompt takes its place) and at the end golden.jsonl, rows to train on in the order of the
 * prompts.
 *
 * @module
 */

import { concurrently } from '../concurrently.ts';
import { type ColumnChoice, createRowMapping } from '../data/columns.ts';
import { readRows } from '../data/containers/index.ts';
import { SubzeroError } from '../errors.ts';
import {
  createHash,
  join,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  resolve,
  rm,
  rmdir,
  writeFile,
} from '../platform/index.ts';
import { writeFully } from '../safetensors/disk.ts';
import { packageVersion } from '../version.ts';
import { acquireLock } from '../zo/journal-lock.ts';
import type { Endpoint } from './endpoint.ts';
import { RequestRefused } from './endpoint.ts';
import {
  type AnswerFacts,
  type EndpointName,
  endpoints,
  type Golden,
  goldenOf,
  type Prompt,
  promptOf,
} from './prompts.ts';

export interface RecordRequest {
  /** A file of prompts. */
  file: string;
  reading?: Partial<ColumnChoice>;
  /** For the record; who is asked is the endpoint. */
  baseUrl: string;
  endpoint: EndpointName;
  model: string;
  /** Further fields of every request: temperature, max_tokens, … */
  settings: Readonly<Record<string, unknown>>;
  system?: string | undefined;
  /** Prompts at once. */
  concurrency: number;
  out: string;
}

export type RecordEvent =
  | { type: 'start'; prompts: number; answered: number }
  | { type: 'answer'; done: number; prompts: number; unusable?: string }
  | ({ type: 'done'; golden: string } & RecordingFigures);

/** The figures of a recording that has ended. */
export interface RecordingFigures {
  prompts: number;
  /** Rows of the golden set. */
  rows: number;
  /** Prompts whose answer makes no row, and why the first of them. */
  unusable: number;
  firstUnusable: string | null;
  /** Answers that ended because they were too long. */
  cut: number;
  promptTokens: number;
  completionTokens: number;
  /** The names by which the endpoint called what answered. */
  models: string[];
}

const recordingFile = 'recording.json';
const answersFile = 'answers.jsonl';

type Answer = { index: number } & Golden & AnswerFacts;

/** What makes a recording another one. */
interface Identity {
  format: 1;
  baseUrl: string;
  endpoint: EndpointName;
  model: string;
  settings: Readonly<Record<string, unknown>>;
  system: string | null;
  prompts: { file: string; count: number; sha256: string };
}

/**
 * Records, or goes on with a recording. What has an answer is not asked again.
 * @param signal no further prompts are sent; those under way are still answered and kept
 * @returns what it came to; `undefined` where it was ended before all prompts were answered
 * @throws SubzeroError `conflict` where the folder holds another recording, or another process is at this one;
 * `invalid_data` for rows that are no prompts; `io` where the endpoint fails
 */
export async function record(
  endpoint: Endpoint,
  request: RecordRequest,
  onEvent: (event: RecordEvent) => void,
  signal: AbortSignal,
): Promise<RecordingFigures | undefined> {
  const folder = resolve(request.out);
  const prompts = await readPrompts(request);
  const before = await readdir(folder).catch(() => undefined);
  await mkdir(folder, { recursive: true });
  const lock = await acquireLock(join(folder, 'recording.lock'));
  let isBegun = before?.includes(recordingFile) ?? false;
  try {
    const identity = identityOf(request, prompts);
    const createdAt = await claim(folder, identity);
    const answers = await readAnswers(join(folder, answersFile));
    onEvent({ type: 'start', prompts: prompts.length, answered: answers.size });
    const log = await open(join(folder, answersFile), 'a');
    let writing = Promise.resolve();
    const keep = (answer: Answer): Promise<void> => {
      const line = new TextEncoder().encode(`${JSON.stringify(answer)}\n`);
      // One after the other: lines must not run into each other.
      writing = writing.then(async () => {
        await writeFully(log, answersFile, 0, line);
        await log.datasync();
      });
      return writing;
    };
    const waiting = [...prompts.keys()].filter((index) => !answers.has(index));
    const ask = async (index: number): Promise<void> => {
      const answer: Answer = { index, ...(await askOnce(endpoint, request, prompts[index]!, signal)) };
      await keep(answer);
      isBegun = true;
      answers.set(index, answer);
      const done = { type: 'answer', done: answers.size, prompts: prompts.length } as const;
      onEvent('unusable' in answer ? { ...done, unusable: answer.unusable } : done);
    };
    try {
      await concurrently(waiting, request.concurrency, ask, signal);
    } catch (error) {
      if (!signal.aborted || !(error instanceof SubzeroError) || error.code !== 'cancelled') throw error;
    } finally {
      await log.close();
    }
    if (answers.size < prompts.length) return undefined;
    const ordered = prompts.map((_, index) => answers.get(index)!);
    const figures = figuresOf(ordered);
    const golden = join(folder, 'golden.jsonl');
    const rows = ordered.flatMap((answer) => ('row' in answer ? [`${JSON.stringify(answer.row)}\n`] : []));
    await replace(golden, rows.join(''));
    await replace(join(folder, recordingFile), text({ ...identity, ...createdAt, ...finished(), figures }));
    onEvent({ type: 'done', golden, ...figures });
    return figures;
  } catch (error) {
    // Without an answer it would be in the way of the next attempt, with what was wrong put right.
    if (!isBegun) for (const name of [recordingFile, answersFile]) await rm(join(folder, name), { force: true });
    throw error;
  } finally {
    await lock.release();
    if (!isBegun && before === undefined) await rmdir(folder).catch(() => {});
  }
}

async function readPrompts({ file, reading, endpoint, system }: RecordRequest): Promise<Prompt[]> {
  const map = createRowMapping({ columns: [], template: '', labels: [], ...reading });
  const prompts: Prompt[] = [];
  for await (const row of readRows(file)) prompts.push(promptOf(map ? map(row) : row, endpoint, system));
  if (prompts.length > 0) return prompts;
  throw new SubzeroError('invalid_data', `${file} holds no prompts`, { parameter: file });
}

async function askOnce(
  endpoint: Endpoint,
  { endpoint: name, model, settings }: RecordRequest,
  prompt: Prompt,
  signal: AbortSignal,
): Promise<Golden & AnswerFacts> {
  try {
    return goldenOf(prompt, await endpoint.post(endpoints[name], { ...settings, model, ...prompt }, signal));
  } catch (error) {
    if (!(error instanceof RequestRefused)) throw error;
    return { unusable: error.message, finishReason: null, model: null, promptTokens: 0, completionTokens: 0 };
  }
}

function identityOf(request: RecordRequest, prompts: readonly Prompt[]): Identity {
  const { baseUrl, endpoint, model, settings, system = null, file } = request;
  const sha256 = createHash('sha256').update(JSON.stringify(prompts)).digest('hex');
  return { format: 1, baseUrl, endpoint, model, settings, system, prompts: { file, count: prompts.length, sha256 } };
}

/** Makes the folder this recording's. @throws SubzeroError `conflict` if it is another one's */
async function claim(folder: string, identity: Identity): Promise<{ createdAt: string; version: string }> {
  const file = join(folder, recordingFile);
  const before = await readFile(file, 'utf8').catch(() => undefined);
  if (before === undefined) {
    const made = { createdAt: new Date().toISOString(), version: packageVersion() };
    await replace(file, text({ ...identity, ...made }));
    return made;
  }
  const there = JSON.parse(before) as Identity & { createdAt: string; version: string };
  const differs = (Object.keys(identity) as (keyof Identity)[]).find((key) =>
    key === 'prompts'
      ? there.prompts?.sha256 !== identity.prompts.sha256
      : JSON.stringify(there[key]) !== JSON.stringify(identity[key]),
  );
  if (differs === undefined) return { createdAt: there.createdAt, version: there.version };
  throw new SubzeroError(
    'conflict',
    `${folder} holds a recording that differs in "${differs}"; choose another folder, or go on with what its ` +
      `recording.json says`,
    { parameter: 'out' },
  );
}

/** The answers of a recording by the numbers of their prompts. */
async function readAnswers(file: string): Promise<Map<number, Answer>> {
  const content = await readFile(file, 'utf8').catch(() => '');
  // A last line without its end was being written when the process ended.
  const whole = content.slice(0, content.lastIndexOf('\n') + 1);
  if (whole !== content) await replace(file, whole);
  const lines = whole.split('\n').filter((line) => line !== '');
  return new Map(lines.map((line) => JSON.parse(line) as Answer).map((answer) => [answer.index, answer]));
}

function figuresOf(answers: readonly Answer[]): RecordingFigures {
  const sum = (of: (answer: Answer) => number): number => answers.reduce((total, answer) => total + of(answer), 0);
  const unusable = answers.flatMap((answer) => ('unusable' in answer ? [answer.unusable] : []));
  return {
    ...{ prompts: answers.length, rows: answers.length - unusable.length },
    ...{ unusable: unusable.length, firstUnusable: unusable[0] ?? null },
    cut: sum(({ finishReason }) => (finishReason === 'length' ? 1 : 0)),
    promptTokens: sum((answer) => answer.promptTokens),
    completionTokens: sum((answer) => answer.completionTokens),
    models: [...new Set(answers.flatMap(({ model }) => model ?? []))],
  };
}

function finished(): { finishedAt: string } {
  return { finishedAt: new Date().toISOString() };
}

function text(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Writes a file whole: it is what it was before, or all of the content. */
async function replace(file: string, content: string): Promise<void> {
  const temporary = `${file}.part`;
  await writeFile(temporary, content);
  await rename(temporary, file);
}
