/**
 * Short trials over a grid of learning rates, to see which ones this model and these data stand.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { type BatchSampler, samplePermutation } from '../data/sampling.ts';
import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { loadModel } from '../model/load.ts';
import type { Model } from '../model/model.ts';
import { leadingTokens, withLeading } from '../model/virtual-tokens.ts';
import {
  comparesWithBase,
  defaultsOf,
  resolveConfiguration,
  type TrainConfiguration,
  writesWeights,
} from '../settings/configuration.ts';
import { meansOf } from '../settings/methods.ts';
import { objectives } from '../settings/objectives.ts';
import { parameter, words } from '../words.ts';
import { createOptimizer } from '../zo/create-optimizer.ts';
import { BaseScores } from './base-scores.ts';
import { evaluate } from './evaluate.ts';
import type { FindEvent } from './events.ts';
import { type LoadedExamples, readExamples, samplerOf } from './examples.ts';
import { drawnExamples, lossOfRun, objectiveFor } from './goal.ts';
import { planMemory } from './memory-plan.ts';
import { ResourceStack } from './resource-stack.ts';
import type { RunSources } from './run.ts';
import { Scorer } from './score.ts';
import { isUniform, SlopeWatch, uniformLoss } from './slope.ts';
import { startAdapter } from './start-adapter.ts';
import { evaluateStep } from './step-evaluation.ts';

/** Powers of ten around the default learning rate; Adam's step has a length of its own, so its rates vary less. */
const decades = { plain: { from: -1, to: 3 }, adam: { from: -2, to: 1 } } as const;

/**
 * Examples on which trials are compared, and the share of the training data that stands in where there is no validation
 * data.
 */
const mostExamples = 256;
const heldOutShare = 0.1;

/**
 * A loss of a step above this many times the loss before training will not come back; below a small loss the ratio says
 * nothing.
 */
const divergedFactor = 2;
const smallLoss = 0.1;

export interface FindOptions {
  modelDirectory: string;
  sources: RunSources;
  /** All but the learning rate and its schedule, which is constant. */
  configuration: Partial<TrainConfiguration>;
  /** Steps of a trial. */
  trialSteps: number;
  /** Ascending; {@link learningRateGrid} by default. */
  learningRates?: readonly number[];
  /** The folder of a PEFT LoRA that the trials begin with. */
  lora?: string;
}

/** The grid: half decades around the default of the optimiser and scheme, ascending. */
export function learningRateGrid({
  optimizer,
  scheme,
  mezoUpdate,
}: Pick<TrainConfiguration, 'optimizer' | 'scheme' | 'mezoUpdate'>): number[] {
  const { from, to } = decades[meansOf({ optimizer, mezoUpdate }) === 'adam' ? 'adam' : 'plain'];
  const { learningRate } = defaultsOf(optimizer, scheme);
  // 1, 3, 10, 30, … times the lowest, rounded because powers of ten are not exact.
  return Array.from({ length: 2 * (to - from) + 1 }, (_, index) =>
    Number((learningRate * 10 ** (from + Math.floor(index / 2)) * (index % 2 === 0 ? 1 : 3)).toPrecision(6)),
  );
}

/**
 * Tries each learning rate for some steps, from the same weights, along the same directions, on the same batches; ends
 * with the first that diverges or after which nothing more can be learnt, as higher ones will. Writes nothing.
 *
 * @throws SubzeroError as `startRun`
 */
export async function* findLearningRate(
  gpu: Gpu,
  options: FindOptions,
  signal?: AbortSignal,
): AsyncGenerator<FindEvent> {
  const { modelDirectory, configuration: partial, trialSteps } = options;
  const resolved = resolveConfiguration({ ...partial, steps: trialSteps, schedule: 'constant', warmupSteps: 0 });
  if (objectives[resolved.objective].generates) {
    const problem = words`learning rates are not searched for with ${parameter('objective')} ${resolved.objective}`;
    throw new SubzeroError('unsupported', words`${problem}: rewards of a few steps say too little`, {
      parameter: 'objective',
    });
  }
  const data = yield* readExamples(modelDirectory, options.sources, resolved, { signal });
  const settings = { ...resolved, objective: objectiveFor(resolved, data.train.examples) };
  // Trials that do not write the weights all start from those in memory.
  const asLoaded = !writesWeights(settings, trialSteps);
  let kept: Model | undefined;
  const load = async (): Promise<Model> => {
    if (kept) return kept.share();
    const model = await loadModel(gpu, modelDirectory, { storage: settings.storage });
    if (asLoaded) kept = model.share();
    return model;
  };
  try {
    yield* trials(gpu, options, { settings, data, load }, signal);
  } finally {
    kept?.destroy();
  }
}

async function* trials(
  gpu: Gpu,
  options: FindOptions,
  { settings, data, load }: { settings: TrainConfiguration; data: LoadedExamples; load: () => Promise<Model> },
  signal: AbortSignal | undefined,
): AsyncGenerator<FindEvent> {
  const { trialSteps } = options;
  const split = splitOf(data.train.examples, data.validation, settings.seed);
  const sampler = samplerOf(settings, split.training);
  const learningRates = [...(options.learningRates ?? learningRateGrid(settings))];
  const drawn = drawnExamples(split.training, sampler, { from: 0, to: trialSteps });
  let base: BaseScores | undefined;
  let before: number | undefined;
  let highest = Number.POSITIVE_INFINITY;
  let best: { learningRate: number; loss: number } | undefined;
  for (const learningRate of learningRates) {
    const started = performance.now();
    const resources = new ResourceStack();
    try {
      const model = resources.own(await load(), (it) => it.destroy());
      const configuration = { ...settings, learningRate };
      const start = await startAdapter(options.lora, model.decoder, configuration);
      const optimizer = resources.own(await createOptimizer(model, configuration, start.adapter), (it) => it.destroy());
      optimizer.beginStep(0);
      const leading = leadingTokens(model, optimizer.current);
      const [training, dev] = [withLeading(split.training, leading), withLeading(split.dev, leading)];
      const scorer = resources.own(new Scorer(model, configuration.maxRows), (it) => it.destroy());
      planMemory({ model, optimizer, scorer, configuration, step: 0, examples: training, validation: dev });
      await gpu.checkAllocations();
      const { fingerprint } = model;
      if (comparesWithBase(settings)) base ??= new BaseScores({ fingerprint, storage: settings.storage });
      for await (const _ of base?.ask({ model, scorer }, [...drawn, ...split.dev], signal) ?? []);
      if (signal?.aborted) return;
      base?.show(split.training, training);
      base?.show(split.dev, dev);
      const lossOf = lossOfRun(settings, base);
      const devLoss = async (): Promise<number> => {
        const options = { maxRows: scorer.maxRows, lossOf, ...(signal ? { signal } : {}) };
        return (await evaluate(scorer, dev, optimizer.current, options)).loss;
      };
      if (before === undefined) {
        before = await devLoss();
        highest = divergedFactor * Math.max(before, smallLoss);
        const { heldOut } = split;
        yield { type: 'start', learningRates, trialSteps, loss: before, examples: dev.length, heldOut };
      }
      const slope = new SlopeWatch(configuration);
      const { vocabularySize } = model.decoder;
      const steps = await trial({ gpu, optimizer, scorer, lossOf }, training, sampler, {
        ...{ learningRate: Math.fround(learningRate), trialSteps, highest, slope, vocabularySize, signal },
      });
      if (signal?.aborted) return;
      const loss = steps === trialSteps ? await devLoss() : Number.NaN;
      // The last step may be the one after which all is flat.
      const stuck = slope.reason ?? (isUniform(loss, uniformLoss(dev, vocabularySize)) ? uniformReason : null);
      const diverged = stuck === null && !(loss <= highest);
      const seconds = (performance.now() - started) / 1000;
      yield { type: 'trial', learningRate, loss: diverged || stuck ? null : loss, diverged, stuck, steps, seconds };
      if (diverged || stuck) break;
      if (loss < (best?.loss ?? before)) best = { learningRate, loss };
    } catch (error) {
      throw await resources.fail(error);
    } finally {
      await resources.close();
    }
  }
  yield { type: 'suggestion', learningRate: best?.learningRate ?? null, loss: best?.loss ?? null };
}

/** What is said of a trial that ends where nothing can be learnt. */
const uniformReason =
  'the run can no longer learn: the loss is that of a guess among equals. The learning rate is too high';

/**
 * @returns the steps done, fewer than wanted if the loss left all bounds, there is no slope left, or the signal was
 * aborted
 */
async function trial(
  run: Parameters<typeof evaluateStep>[0],
  examples: readonly TokenizedExample[],
  sampler: BatchSampler,
  options: {
    learningRate: number;
    trialSteps: number;
    highest: number;
    slope: SlopeWatch;
    vocabularySize: number;
    signal: AbortSignal | undefined;
  },
): Promise<number> {
  const { learningRate, trialSteps, highest, slope, vocabularySize, signal } = options;
  for (let step = 0; step < trialSteps; step++) {
    if (signal?.aborted) return step;
    const batch = sampler.batch(step).map((index) => examples[index]!);
    const { loss, measured, finite } = await evaluateStep(run, batch, step);
    const { projectedGradients } = measured;
    slope.observe({ step: step + 1, loss, projectedGradients, learningRate }, () => uniformLoss(batch, vocabularySize));
    if (!finite || loss > highest || slope.reason !== undefined) return step;
    run.optimizer.update({ step, learningRate, ...measured });
    await run.gpu.recorder.flush();
  }
  return trialSteps;
}

/** The examples to train on and those to compare on. */
function splitOf(
  training: readonly TokenizedExample[],
  validation: readonly TokenizedExample[],
  seed: number,
): { training: TokenizedExample[]; dev: TokenizedExample[]; heldOut: boolean } {
  if (validation.length > 0) {
    return { training: [...training], dev: validation.slice(0, mostExamples), heldOut: false };
  }
  if (training.length < 2) {
    throw new SubzeroError('invalid_data', 'a learning rate cannot be looked for with a single example; add data', {
      parameter: 'data',
    });
  }
  const order = samplePermutation(seed, training.length).map((index) => training[index]!);
  const count = Math.min(mostExamples, Math.max(1, Math.round(heldOutShare * order.length)));
  return { training: order.slice(count), dev: order.slice(0, count), heldOut: true };
}
