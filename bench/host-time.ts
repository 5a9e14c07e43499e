/**
 * What a training step costs the thread that records and submits it, and for how much of that the GPU has nothing to
 * do; on a model so narrow that its arithmetic is over soon: on a software adapter the threads that do it take the same
 * cores.
 *
 * @module
 */

import type { TokenizedExample } from '../src/data/example.ts';
import { median } from '../src/experiments/statistics.ts';
import type { Gpu } from '../src/gpu/gpu.ts';
import { randomModel } from '../src/model/random-model.ts';
import { batchLoss, type ExampleScore } from '../src/objectives/loss.ts';
import { resolveConfiguration } from '../src/settings/configuration.ts';
import { passShape, type RecordedPass, Scorer } from '../src/train/score.ts';
import { StepPipeline } from '../src/train/step-pipeline.ts';
import { SubZero } from '../src/zo/subzero.ts';
import { modelShapes } from './shapes.ts';

const width = 64;

/** Layers of the model, as in the target. */
const layers = 24;

const vocabulary = 512;

/** Steps until the JavaScript is compiled, and those that are timed. */
const [warmUp, timed] = [200, 200];

/** Times of the quickest step and of the middle one of many. */
export interface Milliseconds {
  least: number;
  median: number;
}

const summarise = (times: readonly number[]): Milliseconds => ({ least: Math.min(...times), median: median(times) });

export interface HostTime {
  layers: number;
  width: number;
  dispatches: number;
  /** All that the host does for a step. */
  total: Milliseconds;
  /** What the GPU waits for between two steps, from the arrival of the losses of the one. */
  exposed: {
    /** Until it has something of the next to do, and all of it, where that is recorded ahead, as in a training run. */
    first: Milliseconds;
    last: Milliseconds;
    /** Until it has all of it where that is recorded only then, as behind an evaluation. */
    after: Milliseconds;
  };
}

/** Knows when results arrived last. */
class TimedScorer extends Scorer {
  arrived = 0;

  override async read(pass: RecordedPass, meanwhile?: () => void): Promise<ExampleScore[][]> {
    const scores = await super.read(pass, meanwhile);
    this.arrived = performance.now();
    return scores;
  }
}

/**
 * Times packing, uploading, recording and submitting of SubZero steps.
 * @param makeBatch a batch of tokens of a vocabulary of this size; small, since what a large one takes is the
 *   arithmetic's
 */
export async function measureHostTime(
  gpu: Gpu,
  makeBatch: (vocabulary: number) => readonly TokenizedExample[],
): Promise<HostTime> {
  const batch = makeBatch(vocabulary);
  const shape = {
    ...modelShapes['opt-1024x4'],
    ...{ num_hidden_layers: layers, hidden_size: width, ffn_dim: 4 * width, num_attention_heads: 1 },
    ...{ word_embed_proj_dim: width, vocab_size: vocabulary },
  };
  const model = await randomModel(gpu, shape, 'f32');
  const learningRate = Math.fround(1e-9);
  const optimizer = new SubZero(model, resolveConfiguration({ learningRate, rank: 8, refresh: 1_000_000 }));
  const scorer = new TimedScorer(model, 1024);
  scorer.reserve(1024, passShape(batch));
  optimizer.beginStep(0);
  const times: number[] = [];
  let dispatches = 0;
  for (let step = 0; step < warmUp + timed; step++) {
    const before = gpu.recorder.dispatches;
    const started = performance.now();
    const scoring = scorer.score(batch, optimizer.perturb(step));
    const submitted = performance.now();
    const losses = (await scoring).map((scores) => batchLoss(batch, scores).loss);
    const read = performance.now();
    optimizer.update({ step, learningRate, projectedGradients: optimizer.measure(losses, step).projectedGradients });
    if (step >= warmUp) times.push(submitted - started + performance.now() - read);
    gpu.recorder.submit();
    await gpu.idle();
    dispatches = gpu.recorder.dispatches - before;
  }
  const exposed = await measureExposed(gpu, { optimizer, scorer, batch, learningRate });
  scorer.destroy();
  optimizer.destroy();
  model.destroy();
  return { layers, width, dispatches, total: summarise(times), exposed };
}

/** Makes steps as a training run does, every other one recorded ahead. */
async function measureExposed(
  gpu: Gpu,
  {
    optimizer,
    scorer,
    batch,
    learningRate,
  }: { optimizer: SubZero; scorer: TimedScorer; batch: readonly TokenizedExample[]; learningRate: number },
): Promise<HostTime['exposed']> {
  const isAhead = (step: number): boolean => step % 2 === 1;
  const looks = new StepPipeline(
    { gpu, optimizer, scorer },
    { batchOf: () => ({ rows: [], batch }), learningRateOf: () => learningRate, follows: isAhead },
  );
  const { queue } = gpu.device;
  const submit = queue.submit.bind(queue);
  let submitted: number[] = [];
  queue.submit = (buffers) => {
    submit(buffers);
    submitted.push(performance.now());
    return undefined;
  };
  const times = { first: [] as number[], last: [] as number[], after: [] as number[] };
  let arrived = 0;
  for (let step = 0; step < warmUp + 2 * timed; step++) {
    const { measured } = await looks.at(step);
    if (step >= warmUp) {
      if (isAhead(step)) times.first.push(submitted[0]! - arrived);
      times[isAhead(step) ? 'last' : 'after'].push(submitted.at(-1)! - arrived);
    }
    arrived = scorer.arrived;
    submitted = [];
    await looks.apply({ step, learningRate, ...measured });
  }
  queue.submit = submit;
  await looks.settle();
  return { first: summarise(times.first), last: summarise(times.last), after: summarise(times.after) };
}
