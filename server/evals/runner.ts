/**
 * The queue of evaluations' runs. One runs at a time, several of its items at once. The result of an item is in the
 * store before it counts, so a run goes on after a restart where it was.
 *
 * @module
 */

import { concurrently } from '../../src/concurrently.ts';
import { readJsonLines } from '../../src/data/lines.ts';
import { isRecord } from '../../src/data/row.ts';
import { SubzeroError } from '../../src/errors.ts';
import { type GraderServices, grade } from '../../src/graders/index.ts';
import { fillTemplate } from '../../src/graders/template.ts';
import { invalid, notFound } from '../errors.ts';
import type { FileLibrary } from '../files/library.ts';
import { createIdentifier, unixTime } from '../identifiers.ts';
import type { Logger } from '../log.ts';
import { codeOf, type Loopback, messageOf } from '../loopback.ts';
import type { Usage } from '../schemas/generation.ts';
import type { Collection, Store } from '../store.ts';
import { type Criterion, readCriteria } from './criteria.ts';
import type { EvalRecord, EvalRunRecord, InputMessage, OutputItemRecord, RunSource, RunStatus } from './records.ts';

/** The items of a run that are worked on at a time. */
const itemsAtOnce = 16;

const unfinished: readonly RunStatus[] = ['queued', 'in_progress'];

type Item = { index: number; item: Record<string, unknown>; sample: Record<string, unknown> | undefined };

export class EvalRunner {
  readonly #options: { store: Store; files: FileLibrary; log: Logger; loopback: Loopback };
  readonly evals: Collection<EvalRecord>;
  readonly runs: Collection<EvalRunRecord>;
  readonly items: Collection<OutputItemRecord>;
  /** Models that judge, as the service has them. @param usage tokens by model, to be added to */
  judges: (usage: Record<string, number>, signal: AbortSignal) => GraderServices = () => ({});
  /** Unfinished runs, oldest first. */
  readonly #queue: string[];
  readonly #closing = new AbortController();
  #working: Promise<void> | undefined;
  #current: { id: string; stop: AbortController } | undefined;

  constructor(options: { store: Store; files: FileLibrary; log: Logger; loopback: Loopback }) {
    this.#options = options;
    this.evals = options.store.collection('eval');
    this.runs = options.store.collection('eval.run');
    this.items = options.store.collection('eval.run.output_item');
    const runs = this.evals.all().flatMap(({ id }) => this.runs.all(id));
    this.#queue = runs.filter(({ status }) => unfinished.includes(status)).map(({ id }) => id);
    options.files.addUsers((file) =>
      this.#queue.find((id) => {
        const source = this.runs.get(id)?.source.source;
        return source?.type === 'file_id' && source.id === file;
      }),
    );
  }

  /** Goes on with the runs of an earlier service. */
  start(): void {
    this.#wake();
  }

  /** Ends what runs; it goes on at the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#working;
  }

  /** @throws ApiError 404 */
  eval(id: string): EvalRecord {
    const found = this.evals.get(id);
    if (!found) throw notFound('evaluation', id, 'eval_id');
    return found;
  }

  /** @throws ApiError 404 */
  run(evalId: string, id: string): EvalRunRecord {
    const found = this.runs.get(id);
    if (!found || found.evalId !== evalId) throw notFound('run of this evaluation', id, 'run_id');
    return found;
  }

  submit(fields: Pick<EvalRunRecord, 'evalId' | 'name' | 'metadata' | 'request' | 'source'>): EvalRunRecord {
    const run: EvalRunRecord = {
      ...{ id: createIdentifier('evalrun_'), createdAt: unixTime(), ...fields, status: 'queued', error: null },
      ...{ counts: { total: 0, errored: 0, failed: 0, passed: 0 }, results: {}, usage: {} },
    };
    this.runs.insert(run, run.evalId);
    this.#queue.push(run.id);
    this.#wake();
    return run;
  }

  /** @throws ApiError 400 if it has ended already */
  cancel(evalId: string, id: string): EvalRunRecord {
    const run = this.run(evalId, id);
    if (!unfinished.includes(run.status)) {
      throw invalid(`The run "${id}" cannot be cancelled: its status is "${run.status}".`, null, 'run_finished');
    }
    const canceled: EvalRunRecord = { ...run, status: 'canceled' };
    this.runs.update(canceled);
    this.#drop(id);
    return canceled;
  }

  /** Forgets a run and its items. */
  deleteRun(evalId: string, id: string): void {
    this.run(evalId, id);
    this.#drop(id);
    this.#options.store.transaction(() => {
      for (const item of this.items.all(id)) this.items.delete(item.id);
      this.runs.delete(id);
    });
  }

  /** Forgets an evaluation with its runs. */
  deleteEval(id: string): void {
    this.eval(id);
    for (const run of this.runs.all(id)) this.deleteRun(id, run.id);
    this.evals.delete(id);
  }

  #drop(id: string): void {
    const place = this.#queue.indexOf(id);
    if (place >= 0) this.#queue.splice(place, 1);
    if (this.#current?.id === id) this.#current.stop.abort();
  }

  #wake(): void {
    if (this.#closing.signal.aborted || this.#queue.length === 0) return;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
      this.#wake();
    });
  }

  async #work(): Promise<void> {
    for (let id = this.#queue[0]; id !== undefined && !this.#closing.signal.aborted; id = this.#queue[0]) {
      const stop = new AbortController();
      this.#current = { id, stop };
      const signal = AbortSignal.any([stop.signal, this.#closing.signal]);
      try {
        await this.#run(id, signal);
      } catch (error) {
        if (!signal.aborted) this.#fail(id, error);
      } finally {
        this.#current = undefined;
      }
      if (this.#closing.signal.aborted) return;
      if (this.#queue[0] === id) this.#queue.shift();
    }
  }

  #fail(id: string, error: unknown): void {
    const run = this.runs.get(id);
    this.#options.log.error('run of an evaluation failed', { run: id, error: String(error) });
    const isOurs = !(error instanceof SubzeroError);
    const message = isOurs ? 'The server failed on this run; its log says why.' : error.message;
    if (run) this.runs.update({ ...run, status: 'failed', error: { code: isOurs ? 'internal' : error.code, message } });
  }

  async #run(id: string, signal: AbortSignal): Promise<void> {
    const run = this.runs.get(id)!;
    const criteria = await readCriteria(this.eval(run.evalId).criteria);
    const items: Item[] = [];
    for await (const item of this.#itemsOf(run.source)) items.push(item);
    const done = new Set(this.items.all(id).map(({ index }) => index));
    this.#change(id, (before) => ({
      ...{ ...before, status: 'in_progress', counts: { ...before.counts, total: items.length } },
      results: {
        ...Object.fromEntries(criteria.map(({ grader }) => [grader.name, { passed: 0, failed: 0 }])),
        ...before.results,
      },
    }));
    const left = items.filter(({ index }) => !done.has(index));
    await concurrently(left, itemsAtOnce, (item) => this.#evaluate(run, criteria, item, signal), signal);
    if (!signal.aborted) this.#change(id, (before) => ({ ...before, status: 'completed' }));
  }

  async *#itemsOf({ source }: RunSource): AsyncGenerator<Item> {
    let index = 0;
    if (source.type === 'file_content') {
      for (const { item, sample } of source.content) yield { index: index++, item, sample };
      return;
    }
    const { store, files } = this.#options;
    const file = store.file(source.id);
    if (!file) throw new SubzeroError('not_found', `the file "${source.id}" is gone`);
    const path = files.path(file);
    for await (const { value, source: place } of readJsonLines(path)) {
      if (!isRecord(value.item)) {
        throw new SubzeroError('invalid_data', `${place.replace(path, file.filename)}: expected an object in "item"`);
      }
      yield { index: index++, item: value.item, sample: isRecord(value.sample) ? value.sample : undefined };
    }
  }

  async #evaluate(run: EvalRunRecord, criteria: readonly Criterion[], given: Item, signal: AbortSignal): Promise<void> {
    const { item, index } = given;
    const sample = await this.#sample(run.source, given, signal);
    const judged: Record<string, number> = {};
    const results: OutputItemRecord['results'] = [];
    if (!sample.error) {
      const outputText = sample.output[0]?.content;
      for (const { grader, threshold } of criteria) {
        const { reward, failures } = await grade(grader, { outputText, item }, this.judges(judged, signal));
        const error = failures[0]?.message ?? null;
        results.push({
          ...{ name: grader.name, type: grader.type, score: reward },
          ...{ passed: error === null && reward >= threshold, error },
        });
      }
    }
    // A judge that was stopped has given no verdict.
    if (signal.aborted) return;
    const isError = sample.error !== null || results.some(({ error }) => error !== null);
    const status = isError ? 'error' : results.every(({ passed }) => passed) ? 'pass' : 'fail';
    const { store } = this.#options;
    store.transaction(() => {
      const id = createIdentifier('outputitem_');
      const facts = { id, createdAt: unixTime(), runId: run.id, evalId: run.evalId };
      this.items.insert({ ...facts, index, item, status, results, sample }, run.id);
      this.#change(run.id, (before) => counted(before, status, results, sample));
    });
  }

  /** What is graded: a sample that was sent along, or what a model answers. */
  async #sample(source: RunSource, { item, sample }: Item, signal: AbortSignal): Promise<OutputItemRecord['sample']> {
    const none = { input: [], output: [], finishReason: null, model: null, usage: null, error: null };
    const failed = (code: string, message: string) => ({ ...none, error: { code, message } });
    if (source.type === 'jsonl') {
      const text = sample?.output_text ?? undefined;
      // Graders may look at the item alone.
      if (text === undefined) return none;
      if (typeof text !== 'string') return failed('invalid_sample', '"sample.output_text" must be a text');
      return { ...none, output: [{ role: 'assistant', content: text }] };
    }
    let input: InputMessage[];
    try {
      input = messagesOf(source.messages, item);
    } catch (error) {
      return failed('invalid_item', error instanceof Error ? error.message : String(error));
    }
    const { model, sampling } = source;
    const { status, body } = await this.#options.loopback.post(
      '/v1/chat/completions',
      { ...sampling, model, messages: input },
      signal,
    );
    if (status !== 200) return { ...failed(codeOf(body) ?? String(status), messageOf(body)), input, model };
    const { choices, usage } = body as {
      choices: [{ message: { content: string }; finish_reason: string }];
      usage: Usage;
    };
    const [{ message, finish_reason: finishReason }] = choices;
    const output = [{ role: 'assistant', content: message.content }];
    return { ...none, input, output, finishReason, model, usage };
  }

  /** Changes a run that has not been deleted or cancelled meanwhile. */
  #change(id: string, change: (before: EvalRunRecord) => EvalRunRecord): void {
    const before = this.runs.get(id);
    if (before && unfinished.includes(before.status)) this.runs.update(change(before));
  }
}

function messagesOf(
  messages: Extract<RunSource, { type: 'completions' }>['messages'],
  item: Record<string, unknown>,
): InputMessage[] {
  if (messages.type === 'template') {
    return messages.template.map(({ role, content }) => ({
      role,
      content: fillTemplate(content, { item, outputText: '' }),
    }));
  }
  const path = messages.item_reference.replace(/^item\./, '');
  const found = item[path];
  if (Array.isArray(found) && found.every((each) => isRecord(each) && typeof each.content === 'string')) {
    return found as InputMessage[];
  }
  throw new SubzeroError('invalid_data', `expected a list of messages in "${messages.item_reference}"`);
}

function counted(
  run: EvalRunRecord,
  status: OutputItemRecord['status'],
  results: OutputItemRecord['results'],
  { model, usage }: OutputItemRecord['sample'],
): EvalRunRecord {
  const name = ({ pass: 'passed', fail: 'failed', error: 'errored' } as const)[status];
  const ofCriteria = { ...run.results };
  for (const { name: criterion, passed } of results) {
    const before = ofCriteria[criterion] ?? { passed: 0, failed: 0 };
    ofCriteria[criterion] = passed
      ? { ...before, passed: before.passed + 1 }
      : { ...before, failed: before.failed + 1 };
  }
  const before = (model !== null && run.usage[model]) || { invocations: 0, promptTokens: 0, completionTokens: 0 };
  return {
    ...run,
    counts: { ...run.counts, [name]: run.counts[name] + 1 },
    results: ofCriteria,
    usage:
      model === null || usage === null
        ? run.usage
        : {
            ...run.usage,
            [model]: {
              invocations: before.invocations + 1,
              promptTokens: before.promptTokens + usage.prompt_tokens,
              completionTokens: before.completionTokens + usage.completion_tokens,
            },
          },
  };
}
