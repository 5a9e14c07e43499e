/**
 * The examples of a run: read, tokenised, recognised, drawn.
 *
 * @module
 */

import type { Example, TokenizedExample } from '../data/example.ts';
import { forgetGeneration } from '../data/example-store.ts';
import { isFolder } from '../data/files.ts';
import { type DatasetFacts, openDataset } from '../data/load.ts';
import { NumberList } from '../data/number-list.ts';
import { BatchSampler, samplePermutation } from '../data/sampling.ts';
import type { DataSource } from '../data/source.ts';
import { type DataSummary, summarize } from '../data/summary.ts';
import { type Split, taskOf } from '../data/tasks/index.ts';
import { type TokenizedDataset, TokenizingCollector } from '../data/tokenize.ts';
import { type ErrorCode, SubzeroError } from '../errors.ts';
import { generates } from '../model/decoder.ts';
import { readConfigurationFile } from '../model/load.ts';
import { afterEvents, createHash, resolve } from '../platform/index.ts';
import { examplesPerStep, type TrainConfiguration } from '../settings/configuration.ts';
import { objectives } from '../settings/objectives.ts';
import { type ReadingSettings, readingSettings } from '../settings/settings.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { roomForText } from '../tuning/tuning.ts';
import { parameter, words } from '../words.ts';
import type { JournalHeader } from '../zo/journal-format.ts';
import { outcomeOf, ReadingClock, type ReadingEvent } from './reading-clock.ts';
import type { RunSources } from './run.ts';

/** The batches of a run. */
export function samplerOf(configuration: TrainConfiguration, examples: readonly TokenizedExample[]): BatchSampler {
  const { seed, batchSeed, sampling } = configuration;
  return new BatchSampler({
    seed: (seed + batchSeed) % Number.MAX_SAFE_INTEGER,
    batchSize: examplesPerStep(configuration),
    size: examples.length,
    sampling,
  });
}

/** The examples that a run began with; undefined where its data is not what it was. */
export async function* loadAsBegun(
  header: JournalHeader,
  sources: RunSources,
  signal: AbortSignal | undefined,
): AsyncGenerator<ReadingEvent, LoadedExamples | undefined> {
  // Older versions put BOS in front of what chat templates write.
  for (const bosBeforeChats of [false, true]) {
    const data = yield* readExamples(header.basePath, sources, header.configuration, { bosBeforeChats, signal });
    if (fingerprintOf(data.train.examples) === header.dataFingerprint) return data;
  }
  return undefined;
}

/** How examples are loaded. */
interface TokenizedOptions {
  split: Split;
  contextLength: number;
  /** How rows become examples. */
  reading?: Partial<ReadingSettings>;
  limit?: number;
  /** Put BOS in front of what a chat template writes, as other texts have it. */
  bosBeforeChats?: boolean;
  /** Keep the answers that evaluations generate against, in training data too. */
  keepReferences?: boolean;
  /** Told each example as a text as often as it was tokenised to one, rows included. */
  onText?: (example: Example) => void;
  /** As `openDataset` has it. */
  withReferences?: boolean;
  /** As `openDataset` has it. */
  prompts?: boolean;
  /** That of the model; loaded by default. */
  tokenizer?: Tokenizer;
  signal?: AbortSignal | undefined;
}

type Tokenized = TokenizedDataset & { facts: DatasetFacts; summary: DataSummary };

/**
 * Loads and tokenises a data source for a model directory, row by row: of the texts, a few are in memory at once.
 * @throws SubzeroError as reading does; `cancelled` where the signal is aborted and it takes longer than a second
 */
export function loadTokenized(
  modelDirectory: string,
  source: DataSource,
  options: TokenizedOptions,
): Promise<Tokenized> {
  return outcomeOf(readTokenized(modelDirectory, source, options));
}

/** As {@link loadTokenized}; tells about every second how far it is. */
async function* readTokenized(
  modelDirectory: string,
  source: DataSource,
  options: TokenizedOptions,
): AsyncGenerator<ReadingEvent, Tokenized> {
  const { tokenizer = await loadTokenizer(modelDirectory) } = options;
  const given = { ...options.reading };
  const reading = Object.fromEntries(
    readingSettings.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]),
  ) as Partial<ReadingSettings>;
  const decoder = await readConfigurationFile(modelDirectory);
  const masked = !generates(decoder);
  const { contextLength, split, keepReferences = split !== 'train', prompts = false, withReferences = false } = options;
  const clock = new ReadingClock();
  const dataset = await openDataset(source, {
    ...reading,
    onRead: clock.onRead,
    split: options.split,
    chat: tokenizer,
    masked,
    withItems: options.onText !== undefined,
    withReferences,
    prompts,
    ...(options.limit === undefined ? {} : { limit: options.limit }),
  });
  const { vocabularySize } = decoder;
  const truncate = reading.truncate ?? 'left';
  const collector = new TokenizingCollector(tokenizer, {
    ...{ contextLength, vocabularySize, truncate, masked, prompts },
    answersOptional: withReferences,
  });
  for await (const whole of dataset.examples) {
    const event = clock.due(collector.dataset.rows.at(-1));
    if (event) {
      // A wish to stop comes as a message, which rows that are in memory already would leave unread until their end.
      await new Promise<void>((resolve) => afterEvents(resolve));
      // A short reading goes on to its end, so that there is a run that can be resumed.
      if (options.signal?.aborted) {
        throw new SubzeroError('cancelled', 'the reading of the data was stopped before its end');
      }
      yield event;
    }
    const { isRendered, references, item, ...example } = whole;
    const before = collector.dataset.examples.length;
    collector.add({
      ...example,
      ...(isRendered && !options.bosBeforeChats ? { isRendered } : {}),
      // Answers are generated in evaluations alone.
      ...(references && keepReferences ? { references } : {}),
      // Graders see the row of a prompt.
      ...(item && prompts ? { item } : {}),
    });
    for (let made = before; made < collector.dataset.examples.length; made++) options.onText?.(whole);
  }
  const tokenized = collector.dataset;
  const facts = dataset.facts();
  if (tokenized.examples.length === 0) {
    const longer = `longer than the context of ${contextLength} tokens`;
    const problem = words`${facts.file}: all ${tokenized.dropped} examples are ${longer} and were dropped`;
    throw new SubzeroError('invalid_data', words`${problem}; ${parameter('truncate')} has other choices`, {
      parameter: facts.file,
    });
  }
  return { ...tokenized, facts, summary: summarize(tokenized, facts, (ids) => tokenizer.decode(ids)) };
}

/** What {@link readExamples} makes. */
export interface LoadedExamples {
  train: Pick<TokenizedDataset, 'examples'>;
  validation: TokenizedExample[];
  notes: string[];
  /** Summary of the training data, rows held out included. */
  summary: DataSummary;
}

/**
 * The examples of a run, and things to tell about them.
 * @throws SubzeroError as reading does; `cancelled` where the signal is aborted and it takes longer than a second
 */
export async function* readExamples(
  modelDirectory: string,
  sources: RunSources,
  configuration: TrainConfiguration,
  options: { bosBeforeChats?: boolean; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<ReadingEvent, LoadedExamples> {
  const contextLength = roomForText(await readConfigurationFile(modelDirectory), configuration);
  const holdsOut = configuration.validationSplit > 0;
  const prompts = objectives[configuration.objective].generates ?? false;
  // A large vocabulary takes as long to load as thousands of rows.
  const tokenizer = await loadTokenizer(modelDirectory);
  const reading = { ...options, tokenizer, contextLength, reading: configuration, prompts };
  const { facts, summary, ...all } = yield* readTokenized(modelDirectory, sources.data, {
    ...reading,
    ...{ split: 'train', keepReferences: holdsOut },
  });
  const notes: string[] = [];
  if (facts.unread.length > 0) {
    notes.push(`columns of the training data that nothing is read from: ${facts.unread.join(', ')}`);
  }
  if (all.truncated > 0) {
    notes.push(
      `${all.truncated} of ${all.examples.length} examples were longer than ${contextLength} tokens and lost their ` +
        `${configuration.truncate === 'right' ? 'end' : 'beginning'}`,
    );
  }
  if (all.dropped > 0) {
    notes.push(
      `${all.dropped} of ${all.dropped + all.examples.length} examples were longer than ${contextLength} tokens and ` +
        `are left out`,
    );
  }
  const { train, heldOut } = holdsOut ? holdOut(all, sources.data, configuration) : { train: all, heldOut: [] };
  if (sources.validation === undefined && holdsOut) return { train, validation: heldOut, notes, summary };
  const validationSource = sources.validation ?? (await ownValidation(sources.data));
  let validation: TokenizedExample[] = [];
  if (validationSource) {
    try {
      const options = { ...reading, split: 'validation' } as const;
      validation = (yield* readTokenized(modelDirectory, validationSource, options)).examples;
    } catch (error) {
      // A folder may hold the training rows only; asked for by name, validation data must be there.
      if (sources.validation || !(error instanceof SubzeroError) || error.code !== 'not_found') throw error;
      notes.push(`no validation data: ${error.message}`);
    }
  } else if (configuration.evaluateEvery > 0) {
    notes.push('nothing is evaluated: this run has no validation data');
  }
  return { train, validation, notes, summary };
}

/** Where the validation data of a training source are, if it has any: in the same folder. */
async function ownValidation(data: DataSource): Promise<DataSource | undefined> {
  return 'task' in data || (await isFolder(data.file)) ? data : undefined;
}

/**
 * Holds out rows, drawn by the seed: at least one, and never all. What was one row stays together.
 * @throws SubzeroError `invalid_argument` for a task that is learnt otherwise than it is scored; `invalid_data` for a
 * single row
 */
function holdOut(
  { examples, rows }: TokenizedDataset,
  source: DataSource,
  { seed, validationSplit }: TrainConfiguration,
): { train: { examples: TokenizedExample[] }; heldOut: TokenizedExample[] } {
  const refuse = (code: ErrorCode, what: string): SubzeroError =>
    new SubzeroError(code, words`${parameter('validationSplit')} ${what}`, { parameter: 'validationSplit' });
  if ('task' in source) {
    const { name, kind, trainsOn } = taskOf(source.task);
    if (kind === 'options' && trainsOn === 'answer')
      throw refuse('invalid_argument', `cannot hold out rows of task ${name}, whose training rows are not scored`);
  }
  // Rows of which every example was left out are not counted.
  const rowOf = new NumberList();
  let there = 0;
  for (const [index, row] of rows.values().entries()) {
    if (index > 0 && row !== rows.at(index - 1)) there++;
    rowOf.push(there);
  }
  there++;
  if (there < 2) throw refuse('invalid_data', 'needs at least two rows; the training data has one');
  const count = Math.min(there - 1, Math.max(1, Math.round(validationSplit * there)));
  const isHeld = new Uint8Array(there);
  for (const row of samplePermutation(seed, there).slice(0, count)) isHeld[row] = 1;
  const part = (held: 0 | 1) => examples.filter((_, index) => isHeld[rowOf.at(index)!] === held);
  return { train: { examples: part(0).map(withoutGeneration) }, heldOut: part(1) };
}

/** Training generates nothing, but answers to prompts alone. */
function withoutGeneration(example: TokenizedExample): TokenizedExample {
  if (example.kind !== 'prompt') forgetGeneration(example);
  return example;
}

/** With paths that mean the same wherever they are read. */
export function absoluteSources(sources: RunSources): RunSources {
  const absolute = (source: DataSource): DataSource =>
    'task' in source ? { task: source.task, directory: resolve(source.directory) } : { file: resolve(source.file) };
  return {
    ...sources,
    data: absolute(sources.data),
    ...(sources.validation ? { validation: absolute(sources.validation) } : {}),
  };
}

/** Identifies the tokenised training rows. */
export function fingerprintOf(examples: readonly TokenizedExample[]): string {
  const hash = createHash('sha256');
  for (const { prompt, continuations, label, generation } of examples) {
    const parts = continuations.map(({ ids, scored, positions }) => [ids, scored, ...(positions ? [positions] : [])]);
    const item = continuations.length === 0 ? [generation?.item] : [];
    hash.update(JSON.stringify([prompt, parts, label, ...item]));
  }
  return hash.digest('hex');
}
