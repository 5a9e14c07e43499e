/**
 * The queue of batches. One runs at a time, several of its requests at once. Each answer is on the disk before it
 * counts, so a batch goes on after a restart where it was, and no request is answered twice.
 *
 * @module
 */

import { concurrently } from '../../src/concurrently.ts';
import { SubzeroError } from '../../src/errors.ts';
import { makeFolders } from '../../src/make-folders.ts';
import { type FileHandle, join, open, readdir, readFile, rm } from '../../src/platform/index.ts';
import { writeFully } from '../../src/safetensors/disk.ts';
import { invalid, notFound } from '../errors.ts';
import { batchOutputPurpose, type FileLibrary } from '../files/library.ts';
import { createIdentifier, unixTime } from '../identifiers.ts';
import type { Logger } from '../log.ts';
import type { Loopback } from '../loopback.ts';
import type { Collection, Store } from '../store.ts';
import {
  type BatchEndpoint,
  type BatchProblem,
  type BatchRequestLine,
  type BatchStatus,
  checkRequests,
  readRequests,
} from './requests.ts';

export interface BatchRecord {
  id: string;
  createdAt: number;
  endpoint: BatchEndpoint;
  inputFile: string;
  metadata: Record<string, string> | null;
  status: BatchStatus;
  /** When it came to each status but the first. */
  times: Partial<Record<BatchStatus, number>>;
  expiresAt: number;
  counts: { total: number; completed: number; failed: number };
  problems: BatchProblem[];
  outputFile: string | null;
  errorFile: string | null;
}

const unfinished: readonly BatchStatus[] = ['validating', 'in_progress', 'finalizing', 'cancelling'];

/** Requests at once: enough to fill a pass of generation. */
const requestsAtOnce = 32;

/** A batch that is not done by then ends as it is. */
const windowSeconds = 24 * 60 * 60;

/** The two files of a batch that grow while it runs. */
const parts = ['output', 'errors'] as const;
type Part = (typeof parts)[number];

export class BatchRunner {
  readonly #options: { store: Store; files: FileLibrary; log: Logger; loopback: Loopback; directory: string };
  readonly #batches: Collection<BatchRecord>;
  readonly #closing = new AbortController();
  #working: Promise<void> | undefined;
  /** The batch that runs, and what stops it. */
  #current: { id: string; stop: AbortController } | undefined;

  constructor(options: { store: Store; files: FileLibrary; log: Logger; loopback: Loopback; directory: string }) {
    this.#options = options;
    this.#batches = options.store.collection('batch');
    options.files.addUsers((file) => this.#unfinished().find(({ inputFile }) => inputFile === file)?.id);
  }

  /** Makes the folder of growing files, and removes what belongs to no unfinished batch. */
  async prepare(): Promise<void> {
    const { directory } = this.#options;
    await makeFolders(directory);
    const ids = new Set(this.#unfinished().map(({ id }) => id));
    for (const name of await readdir(directory)) {
      if (!ids.has(name.split('.')[0]!)) await rm(join(directory, name), { force: true });
    }
  }

  /** Goes on with the batches of an earlier service. */
  start(): void {
    this.#wake();
  }

  /** Ends what runs; it stays on the list and goes on at the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#working;
  }

  /** @throws ApiError 404 */
  get(id: string): BatchRecord {
    const batch = this.#batches.get(id);
    if (!batch) throw notFound('batch', id, 'batch_id');
    return batch;
  }

  page(request: { after?: string; limit: number }) {
    return this.#batches.page({ ...request, order: 'desc' });
  }

  submit(fields: Pick<BatchRecord, 'endpoint' | 'inputFile' | 'metadata'>): BatchRecord {
    const createdAt = unixTime();
    const batch: BatchRecord = {
      ...{ id: createIdentifier('batch_'), createdAt, ...fields, status: 'validating', times: {} },
      ...{ expiresAt: createdAt + windowSeconds, counts: { total: 0, completed: 0, failed: 0 } },
      ...{ problems: [], outputFile: null, errorFile: null },
    };
    this.#batches.insert(batch);
    this.#wake();
    return batch;
  }

  /** Ends a batch; what has been answered is kept. @throws ApiError 400 if it has ended already */
  cancel(id: string): BatchRecord {
    const batch = this.get(id);
    if (!unfinished.includes(batch.status)) {
      throw invalid(`The batch "${id}" cannot be cancelled: its status is "${batch.status}".`, null, 'batch_finished');
    }
    if (batch.status === 'finalizing') return batch;
    const cancelling = this.#enter(batch, 'cancelling');
    if (this.#current?.id === id) this.#current.stop.abort();
    else this.#wake();
    return cancelling;
  }

  #unfinished(): BatchRecord[] {
    return this.#batches.all().filter(({ status }) => unfinished.includes(status));
  }

  #wake(): void {
    if (this.#closing.signal.aborted) return;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
      // Something may have come between the last look and the end.
      if (!this.#closing.signal.aborted && this.#unfinished().length > 0) this.#wake();
    });
  }

  async #work(): Promise<void> {
    for (;;) {
      const batch = this.#unfinished()[0];
      if (!batch || this.#closing.signal.aborted) return;
      const stop = new AbortController();
      this.#current = { id: batch.id, stop };
      try {
        await this.#run(batch.id, AbortSignal.any([stop.signal, this.#closing.signal]));
      } catch (error) {
        this.#options.log.error('batch failed', { batch: batch.id, error: String(error) });
        const message =
          error instanceof SubzeroError ? error.message : 'The server failed on this batch; its log says why.';
        const problems = [{ code: 'server_error', line: null, message, param: null }];
        this.#enter({ ...this.get(batch.id), problems }, 'failed');
      } finally {
        this.#current = undefined;
      }
    }
  }

  async #run(id: string, signal: AbortSignal): Promise<void> {
    const input = this.#options.store.file(this.get(id).inputFile);
    if (!input) throw new SubzeroError('not_found', 'The input file is gone.');
    const path = this.#options.files.path(input);
    if (this.get(id).status === 'validating') {
      const { total, problems } = await checkRequests(path, this.get(id).endpoint);
      const batch = this.get(id);
      if (problems.length > 0) {
        this.#enter({ ...batch, problems }, batch.status === 'cancelling' ? 'cancelled' : 'failed');
        return;
      }
      const checked = { ...batch, counts: { ...batch.counts, total } };
      if (batch.status === 'cancelling') this.#batches.update(checked);
      else this.#enter(checked, 'in_progress');
    }
    if (this.get(id).status === 'finalizing') return this.#finish(id);
    const growing = await this.#openParts(id);
    try {
      if (this.get(id).status === 'in_progress') await this.#answerAll(id, path, growing, signal);
      if (this.#closing.signal.aborted && this.get(id).status !== 'cancelling') return;
      if (this.get(id).status === 'in_progress' && this.#isIncomplete(id)) {
        if (unixTime() < this.get(id).expiresAt) throw new Error('requests were left without an answer');
        await this.#expire(id, path, growing);
      }
    } finally {
      await growing.close();
    }
    await this.#finish(id);
  }

  #isIncomplete(id: string): boolean {
    const { total, completed, failed } = this.get(id).counts;
    return completed + failed < total;
  }

  async #answerAll(id: string, path: string, growing: GrowingParts, signal: AbortSignal): Promise<void> {
    const { expiresAt, endpoint } = this.get(id);
    const left = growing.without(readRequests(path));
    const answer = async ({ customId, body }: BatchRequestLine): Promise<void> => {
      if (unixTime() >= expiresAt) return;
      const { status, requestId, body: answered } = await this.#options.loopback.post(endpoint, body, signal);
      const isGood = status >= 200 && status < 300;
      const response = { status_code: status, request_id: requestId, body: answered };
      await this.#keep(id, growing, isGood ? 'output' : 'errors', customId, { response, error: null });
    };
    try {
      await concurrently(left, requestsAtOnce, answer, signal);
    } catch (error) {
      if (!(error instanceof SubzeroError) || error.code !== 'cancelled') throw error;
    }
  }

  /** The requests that nobody has come to. */
  async #expire(id: string, path: string, growing: GrowingParts): Promise<void> {
    const error = { code: 'batch_expired', message: 'This request could not be executed before the batch expired.' };
    for await (const { customId } of growing.without(readRequests(path))) {
      await this.#keep(id, growing, 'errors', customId, { response: null, error });
    }
    this.#batches.update({ ...this.get(id), times: { ...this.get(id).times, expired: unixTime() } });
  }

  async #keep(id: string, growing: GrowingParts, part: Part, customId: string, result: object): Promise<void> {
    await growing.append(part, { id: createIdentifier('batch_req_'), custom_id: customId, ...result });
    const batch = this.get(id);
    this.#batches.update({ ...batch, counts: { ...batch.counts, ...growing.counts } });
  }

  /** Makes files of what was answered, and the batch one that has ended. */
  async #finish(id: string): Promise<void> {
    const { files, directory } = this.#options;
    const before = this.get(id);
    const ended = before.status === 'cancelling' ? 'cancelled' : before.times.expired ? 'expired' : 'completed';
    if (ended === 'completed') this.#enter(before, 'finalizing');
    const made: Partial<Record<Part, string>> = {};
    const paths = parts.map((part) => [part, join(directory, `${id}.${part}.jsonl`)] as const);
    for (const [part, path] of paths) {
      const lines = (await readLines(path)).length;
      const facts = { filename: `${id}_${part}.jsonl`, purpose: batchOutputPurpose, lines };
      if (lines > 0) made[part] = (await files.addCopy(path, facts)).id;
    }
    const { output = null, errors = null } = made;
    const batch = this.#enter({ ...this.get(id), outputFile: output, errorFile: errors }, ended);
    // Until here a service that was killed could have begun this anew.
    for (const [, path] of paths) await rm(path, { force: true });
    this.#options.log.info('batch ended', { batch: id, status: ended, ...batch.counts });
  }

  async #openParts(id: string): Promise<GrowingParts> {
    const growing = await GrowingParts.open((part) => join(this.#options.directory, `${id}.${part}.jsonl`));
    const batch = this.get(id);
    this.#batches.update({ ...batch, counts: { ...batch.counts, ...growing.counts } });
    return growing;
  }

  #enter(batch: BatchRecord, status: BatchStatus): BatchRecord {
    const entered = { ...batch, status, times: { ...batch.times, [status]: unixTime() } };
    this.#batches.update(entered);
    return entered;
  }
}

/** The two files of a batch, with the ids of the requests that they have answers of. */
class GrowingParts {
  readonly #handles: Record<Part, FileHandle>;
  readonly #done: Set<string>;
  readonly counts: { completed: number; failed: number };
  #writing: Promise<void> = Promise.resolve();

  static async open(pathOf: (part: Part) => string): Promise<GrowingParts> {
    const done = new Set<string>();
    const counts = { output: 0, errors: 0 };
    const handles: Partial<Record<Part, FileHandle>> = {};
    for (const part of parts) {
      const path = pathOf(part);
      const lines = await readLines(path);
      for (const line of lines) done.add((JSON.parse(line) as { custom_id: string }).custom_id);
      counts[part] = lines.length;
      const handle = await open(path, 'a');
      // A last line without its end was being written when the process ended.
      await handle.truncate(lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0));
      handles[part] = handle;
    }
    return new GrowingParts(handles as Record<Part, FileHandle>, done, counts);
  }

  private constructor(handles: Record<Part, FileHandle>, done: Set<string>, counts: Record<Part, number>) {
    this.#handles = handles;
    this.#done = done;
    this.counts = { completed: counts.output, failed: counts.errors };
  }

  /** Those that have no answer. */
  async *without(requests: AsyncIterable<BatchRequestLine>): AsyncGenerator<BatchRequestLine> {
    for await (const request of requests) if (!this.#done.has(request.customId)) yield request;
  }

  append(part: Part, line: { id: string; custom_id: string }): Promise<void> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
    // One after the other: lines must not run into each other.
    this.#writing = this.#writing.then(async () => {
      await writeFully(this.#handles[part], part, 0, bytes);
      this.#done.add(line.custom_id);
      this.counts[part === 'output' ? 'completed' : 'failed']++;
    });
    return this.#writing;
  }

  async close(): Promise<void> {
    await this.#writing.catch(() => {});
    for (const part of parts) await this.#handles[part].close();
  }
}

/** The whole lines of a file; none where there is no file. */
async function readLines(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '');
}
