/**
 * The examples of a run: read, tokenised, recognised, drawn.
 *
 * @module
 */

import type { Learn, TokenizedExample } from '../data/example.ts';
import { type Dataset, loadDataset } from '../data/load.ts';
import { BatchSampler } from '../data/sampling.ts';
import type { DataSource } from '../data/source.ts';
import type { Split } from '../data/tasks/index.ts';
import { type TokenizedDataset, tokenizeExamples } from '../data/tokenize.ts';
import { SubzeroError } from '../errors.ts';
import { generates } from '../model/decoder.ts';
import { readConfigurationFile } from '../model/load.ts';
import { createHash, resolve } from '../platform/index.ts';
import { examplesPerStep, type TrainConfiguration } from '../settings/configuration.ts';
import { loadTokenizer } from '../tokenizer/index.ts';
import { roomForText } from '../tuning/tuning.ts';
import type { JournalHeader } from '../zo/journal-format.ts';
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
export async function loadAsBegun(header: JournalHeader, sources: RunSources): Promise<LoadedExamples | undefined> {
  // Older versions put BOS in front of what chat templates write.
  for (const bosBeforeChats of [false, true]) {
    const data = await loadExamples(header.basePath, sources, header.configuration, { bosBeforeChats });
    if (fingerprintOf(data.train.examples) === header.dataFingerprint) return data;
  }
  return undefined;
}

/**
 * Loads and tokenises a data source for a model directory.
 * @param options.bosBeforeChats put BOS in front of what a chat template writes, as other texts have it
 */
export async function loadTokenized(
  modelDirectory: string,
  source: DataSource,
  options: { split: Split; contextLength: number; learn?: Learn; limit?: number; bosBeforeChats?: boolean },
): Promise<TokenizedDataset & Pick<Dataset, 'unread'>> {
  const tokenizer = await loadTokenizer(modelDirectory);
  const decoder = await readConfigurationFile(modelDirectory);
  const masked = !generates(decoder);
  const dataset = await loadDataset(source, {
    split: options.split,
    chat: tokenizer,
    masked,
    ...(options.learn === undefined ? {} : { learn: options.learn }),
    ...(options.limit === undefined ? {} : { limit: options.limit }),
  });
  const { vocabularySize } = decoder;
  const { contextLength } = options;
  const examples = dataset.examples.map(({ isRendered, references, ...example }) => ({
    ...example,
    ...(isRendered && !options.bosBeforeChats ? { isRendered } : {}),
    // Answers are generated in evaluations alone.
    ...(references && options.split !== 'train' ? { references } : {}),
  }));
  const tokenized = tokenizeExamples(tokenizer, examples, { contextLength, vocabularySize, masked });
  return { ...tokenized, unread: dataset.unread };
}

/** What {@link loadExamples} makes. */
interface LoadedExamples {
  train: TokenizedDataset;
  validation: TokenizedExample[];
  notes: string[];
}

/** The examples of a run, and things to tell about them. */
export async function loadExamples(
  modelDirectory: string,
  sources: RunSources,
  configuration: TrainConfiguration,
  options: { bosBeforeChats?: boolean } = {},
): Promise<LoadedExamples> {
  const contextLength = roomForText(await readConfigurationFile(modelDirectory), configuration);
  const { learn } = configuration;
  const train = await loadTokenized(modelDirectory, sources.data, { ...options, split: 'train', contextLength, learn });
  const notes: string[] = [];
  if (train.unread.length > 0) {
    notes.push(`columns of the training data that nothing is read from: ${train.unread.join(', ')}`);
  }
  if (train.truncated > 0) {
    notes.push(
      `${train.truncated} of ${train.examples.length} examples were longer than ${contextLength} tokens and lost their beginning`,
    );
  }
  const validationSource = sources.validation ?? ('task' in sources.data ? sources.data : undefined);
  let validation: TokenizedExample[] = [];
  if (validationSource) {
    try {
      validation = (
        await loadTokenized(modelDirectory, validationSource, { split: 'validation', contextLength, learn })
      ).examples;
    } catch (error) {
      // A task's folder may hold the training rows only; asked for by name, validation data must be there.
      if (sources.validation || !(error instanceof SubzeroError) || error.code !== 'not_found') throw error;
      notes.push(`no validation data: ${error.message}`);
    }
  } else if (configuration.evaluateEvery > 0) {
    notes.push('nothing is evaluated: this run has no validation data');
  }
  return { train, validation, notes };
}

/** With paths that mean the same wherever they are read. */
export function absoluteSources(sources: RunSources): RunSources {
  const absolute = (source: DataSource): DataSource =>
    'task' in source ? { task: source.task, directory: resolve(source.directory) } : { file: resolve(source.file) };
  return { data: absolute(sources.data), ...(sources.validation ? { validation: absolute(sources.validation) } : {}) };
}

/** Identifies the tokenised training rows. */
export function fingerprintOf(examples: readonly TokenizedExample[]): string {
  const hash = createHash('sha256');
  for (const { prompt, continuations, label } of examples) {
    const parts = continuations.map(({ ids, scored, positions }) => [ids, scored, ...(positions ? [positions] : [])]);
    hash.update(JSON.stringify([prompt, parts, label]));
  }
  return hash.digest('hex');
}
