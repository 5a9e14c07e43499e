/**
 * The training loop: draw a batch, look at it from all probes, journal the result, move the weights.
 *
 * @module
 */

import { createHash } from 'node:crypto';
import { basename, join, resolve } from 'node:path';
import type { Learn, TokenizedExample } from '../data/example.ts';
import { type Dataset, loadDataset } from '../data/load.ts';
import { BatchSampler } from '../data/sampling.ts';
import type { DataSource } from '../data/source.ts';
import type { Split } from '../data/tasks/index.ts';
import { type TokenizedDataset, tokenizeExamples } from '../data/tokenize.ts';
import { SubzeroError } from '../errors.ts';
import { formatBytes, plural } from '../format.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { batchRows } from '../model/batch.ts';
import { Model, readConfigurationFile } from '../model/model.ts';
import { leadingTokens, withLeading } from '../model/virtual-tokens.ts';
import {
  examplesPerStep,
  optimizerTitles,
  resolveConfiguration,
  type TrainConfiguration,
} from '../settings/configuration.ts';
import { stepsOfEpochs } from '../settings/epochs.ts';
import { loadTokenizer } from '../tokenizer/index.ts';
import { roomForText } from '../tuning/tuning.ts';
import { packageVersion } from '../version.ts';
import { createJournal, type JournalWriter, resumeJournal, type StepRecord } from '../zo/journal.ts';
import type { JournalHeader } from '../zo/journal-format.ts';
import { createOptimizer, type ZerothOrderOptimizer } from '../zo/optimizer.ts';
import { withAnswers } from './answering.ts';
import { EvaluationHistory } from './best.ts';
import { type RunChanges, readChanges, writeChanges } from './changes.ts';
import { Closers } from './closers.ts';
import { type EvaluateOptions, evaluate, wantsAnswers } from './evaluate.ts';
import type { EvaluationResult, TrainEvent } from './events.ts';
import { restoreLines, takeUpMetrics } from './history.ts';
import { mean } from './look.ts';
import { Looks } from './looks.ts';
import { planMemory } from './memory-plan.ts';
import { type MetricsWriter, openMetrics } from './metrics.ts';
import { type RunSources, restoreRun, writeCurve } from './run.ts';
import { createRunFolder, journalFile, removeRun, runFiles } from './run-folder.ts';
import { adapterName, planRecord } from './run-plans.ts';
import { learningRateAt } from './schedule.ts';
import { Scorer } from './score.ts';
import { uniformLoss } from './slope.ts';
import { type EventFile, openEventFile } from './tensorboard.ts';
import { idleLearningRateWarning, LossWatchdog, type Warning } from './watchdog.ts';

export interface StartOptions {
  modelDirectory: string;
  sources: RunSources;
  configuration: Partial<TrainConfiguration>;
  /** Instead of a number of steps: how often each example is seen, on average. */
  epochs?: number;
  out: string;
}

/** A run that is ready to make its next step. */
interface OpenRun {
  folder: string;
  model: Model;
  optimizer: ZerothOrderOptimizer;
  configuration: TrainConfiguration;
  writer: JournalWriter;
  metrics: MetricsWriter;
  examples: TokenizedExample[];
  validation: TokenizedExample[];
  /** Steps done. */
  step: number;
  /** The evaluations so far. */
  evaluations: EvaluationHistory;
  /** The steps that were made with these settings and data before. */
  records: readonly StepRecord[];
  /** Things to tell before the first step. */
  notes: string[];
  /** What differs from the journal's header, to be kept once it is known that the run fits. */
  changes: RunChanges;
}

/**
 * Starts a run in a new folder and trains to its last step, or until the signal is aborted.
 *
 * Each step is in the journal, flushed, before it is announced. The weights on the GPU move, and the next look begins, while it is being
 * written: what a process that ends in between has computed is computed again, to the same bits, when the run is resumed.
 */
export async function* startRun(gpu: Gpu, options: StartOptions, signal?: AbortSignal): AsyncGenerator<TrainEvent> {
  const wanted = resolveConfiguration(options.configuration);
  const folder = resolve(options.out);
  const made = { folder: await createRunFolder(folder), files: false };
  const closers = new Closers();
  let begun = false;
  try {
    const data = await loadExamples(options.modelDirectory, options.sources, wanted);
    checkValidation(wanted, data.validation);
    const model = closers.own(await Model.load(gpu, options.modelDirectory, { storage: wanted.storage }), destroy);
    // From here on the run says exactly what it is; "auto" would mean another thing on another adapter.
    const configuration: TrainConfiguration = {
      ...wanted,
      ...(options.epochs === undefined ? {} : { steps: stepsFor(options.epochs, wanted, data.train.examples.length) }),
      storage: model.storage,
    };
    const optimizer = closers.own(await createOptimizer(model, configuration), destroy);
    optimizer.beginStep(0);
    await gpu.checkAllocations();
    const journal = await createJournal(join(folder, runFiles.journal), {
      packageVersion: packageVersion(),
      basePath: resolve(options.modelDirectory),
      baseFingerprint: model.fingerprint,
      dataFingerprint: fingerprintOf(data.train.examples),
      configuration,
      adapter: adapterName(gpu),
      extra: { sources: absoluteSources(options.sources), ...planRecord(model.plans) },
    });
    made.files = true;
    const writer = closers.own(journal, close);
    const metrics = closers.own(await openMetrics(join(folder, runFiles.metrics)), close);
    const { validation, notes } = data;
    const { examples } = data.train;
    const run = { folder, model, optimizer, configuration, writer, metrics, examples, validation, notes };
    const start = { ...run, step: 0, evaluations: new EvaluationHistory(), records: [], changes: {} };
    for await (const event of trainFrom(gpu, start, signal)) {
      begun = true;
      yield event;
    }
  } catch (error) {
    await closers.fail(error);
    // A run that could not begin would be in the way of the next attempt, with what was wrong put right.
    if (!begun) await removeRun(folder, made);
    throw error;
  } finally {
    await closers.close();
  }
}

/**
 * Continues a run where its journal ends. An evaluation that was due and did not get done is done first.
 * @param options.changes a new number of steps in all, another memory budget; kept for later resumptions
 */
export async function* resumeRun(
  gpu: Gpu,
  options: { folder: string; changes?: RunChanges },
  signal?: AbortSignal,
): AsyncGenerator<TrainEvent> {
  const folder = resolve(options.folder);
  const { journal, writer } = await resumeJournal(await journalFile(folder));
  const closers = new Closers();
  closers.own(writer, close);
  try {
    const { records, torn } = journal;
    const changed = await readChanges(folder);
    const before = { ...journal.header.configuration, ...changed };
    const configuration = resolveConfiguration({ ...before, ...options.changes });
    const header = { ...journal.header, configuration };
    if (records.length > configuration.steps) {
      throw new SubzeroError(
        'invalid_argument',
        `${folder} already has ${records.length} steps; it cannot be continued to step ${configuration.steps}. ` +
          'Name a higher number of steps.',
        { parameter: 'steps' },
      );
    }
    const sources = header.extra.sources as RunSources;
    const data = await loadAsBegun(header, sources);
    if (!data) {
      throw new SubzeroError(
        'conflict',
        `the training data of ${folder} has changed since the run began; it cannot be continued on it`,
      );
    }
    const { model, optimizer, step } = await restoreRun(gpu, folder, { journal: { ...journal, header } });
    closers.own(model, destroy);
    closers.own(optimizer, destroy);
    const { examples } = data.train;
    const seen = withLeading(examples, leadingTokens(model, optimizer.current));
    const lines = await takeUpMetrics(join(folder, runFiles.metrics), step);
    const metrics = closers.own(await openMetrics(join(folder, runFiles.metrics)), close);
    const sampler = samplerOf(configuration, examples);
    await restoreLines(metrics, lines, records, {
      steps: configuration.steps,
      rowsOf: (index) => batchRows(sampler.batch(index).map((example) => seen[example]!)),
    });
    const notes = [...data.notes];
    if (torn)
      notes.push(`the journal ended in the middle of a record; ${torn.bytes} bytes of an unfinished step were cut off`);
    if (configuration.memory !== before.memory) notes.push(otherMemory(before, configuration));
    const { validation } = data;
    const fork = header.extra.fork as { step: number } | undefined;
    const evaluations = EvaluationHistory.of(lines, fork?.step);
    yield* trainFrom(
      gpu,
      {
        ...{ folder, model, optimizer, configuration, writer, metrics, examples, validation, notes },
        ...{ step, evaluations, records: records.slice(fork?.step ?? 0), changes: { ...changed, ...options.changes } },
      },
      signal,
    );
  } catch (error) {
    throw await closers.fail(error);
  } finally {
    await closers.close();
  }
}

const close = (resource: { close(): Promise<void> }): Promise<void> => resource.close();
const destroy = (resource: { destroy(): void }): void => resource.destroy();

async function* trainFrom(gpu: Gpu, run: OpenRun, signal: AbortSignal | undefined): AsyncGenerator<TrainEvent> {
  const { configuration, optimizer, model, folder, evaluations } = run;
  const leading = leadingTokens(model, optimizer.current);
  const examples = withLeading(run.examples, leading);
  const validation = withLeading(run.validation, leading);
  const scorer = new Scorer(model, configuration.maxRows);
  const sampler = samplerOf(configuration, examples);
  const started = performance.now();
  const firstStep = run.step;
  let trainedTokens = 0;
  let evaluationSeconds = 0;
  const watchdog = new LossWatchdog(configuration);
  const watch = (record: StepRecord): Warning | undefined =>
    // As the journal keeps it, so that a resumed run comes to the same judgement.
    watchdog.observe({ ...record, loss: Math.fround(record.loss) }, () =>
      uniformLoss(
        sampler.batch(record.step - 1).map((row) => examples[row]!),
        model.configuration.vocabularySize,
      ),
    );
  // An interrupted run is judged by all of its steps.
  for (const record of run.records) watch(record);
  let board: EventFile | undefined;
  /** Every so many steps, and behind the last one. */
  const evaluationDue = (step = run.step): boolean => {
    const { evaluateEvery, steps } = configuration;
    const due = step >= steps || (step > 0 && evaluateEvery > 0 && step % evaluateEvery === 0);
    return due && validation.length > 0 && evaluations.lastStep < step;
  };

  const looks = new Looks(
    { gpu, optimizer, scorer },
    {
      batchOf: (step) => {
        const rows = sampler.batch(step);
        return { rows, batch: rows.map((row) => examples[row]!) };
      },
      learningRateOf: (step) => learningRateAt(step, configuration),
      // Early stopping is up to evaluations.
      follows: (step) => step < configuration.steps && !evaluationDue(step) && !signal?.aborted,
    },
  );

  /** Evaluates if it is time to. The signal ends it without a result: what is due is done when the run is resumed. */
  async function* evaluateIfDue(): AsyncGenerator<TrainEvent> {
    if (!evaluationDue() || signal?.aborted) return;
    let result: EvaluationResult;
    try {
      const options = { maxRows: scorer.maxRows, ...(signal ? { signal } : {}) };
      const evaluateWith = (answer?: EvaluateOptions['answer']) =>
        evaluate(scorer, validation, optimizer.current, { ...options, ...(answer ? { answer } : {}) });
      result = wantsAnswers(validation)
        ? await withAnswers(model, () => optimizer.current, signal, evaluateWith)
        : await evaluateWith();
    } catch (error) {
      if (error instanceof SubzeroError && error.code === 'cancelled') return;
      throw error;
    }
    evaluationSeconds += result.seconds;
    evaluations.observe(run.step, result.loss);
    const event = { type: 'evaluation' as const, step: run.step, ...result };
    await run.metrics.append(event);
    await board?.append(event);
    yield event;
  }

  try {
    const plan = planMemory({ ...run, examples, validation, scorer });
    await gpu.checkAllocations();
    if (configuration.tensorboard) board = await openEventFile(folder, run.step);
    await writeChanges(folder, run.changes);
    yield {
      type: 'start',
      run: folder,
      step: run.step,
      steps: configuration.steps,
      examples: examples.length,
      plan,
    };
    for (const message of run.notes) yield { type: 'message', level: 'info', message };
    const idle = idleLearningRateWarning(configuration);
    if (idle) yield { type: 'message', level: 'warn', ...idle };
    const { reason: before } = watchdog.slope;
    if (before !== undefined)
      yield { type: 'message', level: 'warn', code: 'no_slope', message: `step ${run.step}: ${before}` };

    // The process may have ended between a step and the evaluation that follows it.
    yield* evaluateIfDue();

    const { slope } = watchdog;
    while (run.step < configuration.steps && !earlyStop(run) && !slope.hopeless && !signal?.aborted) {
      const step = run.step;
      const { rows, batch, loss, accuracy, measured, finite } = await looks.at(step);
      if (!finite) throw diverged(step, rows, loss);
      const learningRate = learningRateAt(step, configuration);
      // First of all, so that the GPU waits neither for the disk nor for whoever reads the events.
      await looks.apply({ step, learningRate, ...measured });
      run.step = step + 1;
      const record = { step: run.step, learningRate, ...measured, loss };
      await run.writer.append(record);
      trainedTokens += batchRows(batch);
      const elapsed = (performance.now() - started) / 1000;
      const perStep = (elapsed - evaluationSeconds) / (run.step - firstStep);
      const event: TrainEvent = {
        type: 'step',
        step: run.step,
        steps: configuration.steps,
        loss,
        accuracy,
        projectedGradient: mean(measured.projectedGradients),
        learningRate,
        tokensPerSecond: trainedTokens / Math.max(1e-9, elapsed - evaluationSeconds),
        elapsedSeconds: elapsed,
        etaSeconds: perStep * (configuration.steps - run.step),
        trainedTokens,
      };
      await run.metrics.append(event);
      await board?.append(event);
      yield event;
      const warning = watch(record);
      if (warning) {
        const message = { type: 'message' as const, step: run.step, level: 'warn' as const, ...warning };
        await run.metrics.append(message);
        yield message;
      }
      if (!slope.hopeless) yield* evaluateIfDue();
    }

    const reason = run.step < configuration.steps ? earlyStop(run) : undefined;
    if (reason !== undefined) yield { type: 'message', level: 'info', message: reason };
    const ended = slope.hopeless || (run.step >= configuration.steps && !evaluationDue()) || reason !== undefined;
    const stuck = ended ? slope.reason : undefined;
    await looks.settle();
    gpu.recorder.submit();
    await gpu.idle();
    await writeCurve(folder, `${optimizerTitles[configuration.optimizer]} on ${basename(model.directory)}`);
    yield {
      type: 'done',
      run: folder,
      step: run.step,
      outcome: stuck !== undefined ? 'stuck' : ended ? 'finished' : 'stopped',
      reason: stuck ?? reason ?? null,
      best: evaluations.best ?? null,
      trainedTokens,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await looks.settle();
    scorer.destroy();
    await board?.close();
  }
}

function otherMemory({ memory: before }: TrainConfiguration, { memory }: TrainConfiguration): string {
  const named = (bytes: number): string => (bytes === 0 ? 'without a limit' : formatBytes(bytes));
  return (
    `the memory of the run is now ${named(memory)}; it was ${named(before)}. Steps from here on may be cut into other passes: ` +
    'the estimates are the same, their last bits may not be those of the run as it was set up'
  );
}

/** Why the run shall end before its last step; `undefined` if it shall not. */
function earlyStop({
  configuration: { earlyStopping },
  evaluations: { best, sinceBest },
}: OpenRun): string | undefined {
  if (earlyStopping === 0 || sinceBest < earlyStopping) return undefined;
  const lowest = best ? `; the lowest was ${best.loss.toFixed(4)} at step ${best.step}` : '';
  return `early stopping: no lower validation loss in the last ${plural(sinceBest, 'evaluation')}${lowest}`;
}

/** @throws SubzeroError `invalid_argument` if the run is to be ended by evaluations that it cannot make */
export function checkValidation({ earlyStopping }: TrainConfiguration, validation: readonly TokenizedExample[]): void {
  if (earlyStopping === 0 || validation.length > 0) return;
  throw new SubzeroError(
    'invalid_argument',
    'earlyStopping needs validation data, which this run does not have; name some, or leave earlyStopping out',
    { parameter: 'earlyStopping' },
  );
}

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

/** @throws SubzeroError `invalid_argument` if there is no such number of steps */
function stepsFor(epochs: number, configuration: TrainConfiguration, examples: number): number {
  return resolveConfiguration({ ...configuration, steps: stepsOfEpochs(epochs, examples, configuration) }).steps;
}

function diverged(step: number, rows: readonly number[], loss: number): SubzeroError {
  return new SubzeroError(
    'invalid_argument',
    `the loss became ${loss} at step ${step + 1} (training rows ${rows.map((row) => row + 1).join(', ')}); ` +
      `the run is saved up to step ${step}. A lower learning rate or epsilon usually cures this.`,
    { parameter: 'learningRate' },
  );
}

/** The examples that a run began with; undefined where its data is not what it was. */
async function loadAsBegun(header: JournalHeader, sources: RunSources): Promise<LoadedExamples | undefined> {
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
  const dataset = await loadDataset(source, {
    split: options.split,
    chat: tokenizer,
    ...(options.learn === undefined ? {} : { learn: options.learn }),
    ...(options.limit === undefined ? {} : { limit: options.limit }),
  });
  const { vocabularySize } = await readConfigurationFile(modelDirectory);
  const { contextLength } = options;
  const examples = dataset.examples.map(({ isRendered, references, ...example }) => ({
    ...example,
    ...(isRendered && !options.bosBeforeChats ? { isRendered } : {}),
    // Answers are generated in evaluations alone.
    ...(references && options.split !== 'train' ? { references } : {}),
  }));
  const tokenized = tokenizeExamples(tokenizer, examples, { contextLength, vocabularySize });
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
