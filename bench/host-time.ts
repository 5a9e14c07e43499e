/**
 * What a training step costs the thread that records and submits it, on a model so narrow that its arithmetic is over soon: on a software
 * adapter the threads that do it take the same cores.
 *
 * @module
 */

import type { TokenizedExample } from '../src/data/example.ts';
import type { Gpu } from '../src/gpu/gpu.ts';
import { Model } from '../src/model/model.ts';
import { resolveConfiguration } from '../src/train/configuration.ts';
import { batchLoss, passShape, Scorer } from '../src/train/score.ts';
import { SubZero } from '../src/zo/subzero.ts';
import { modelShapes } from './shapes.ts';
import { median } from './statistics.ts';

const width = 64;

/** As many layers as the target speaks of. */
const layers = 24;

const vocabulary = 512;

/** Steps until the JavaScript is compiled, and those that are timed. */
const [warmUp, timed] = [200, 200];

export interface HostTime {
  layers: number;
  width: number;
  /** Of one step, the quickest and the middle one of many. */
  leastMilliseconds: number;
  medianMilliseconds: number;
  dispatches: number;
}

/**
 * Times packing, uploading, recording and submitting of SubZero steps.
 * @param makeBatch a batch of tokens of a vocabulary of this size; small, since what a large one takes is the arithmetic's
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
  const model = await Model.random(gpu, shape, 'f32');
  const learningRate = Math.fround(1e-9);
  const optimizer = new SubZero(model, resolveConfiguration({ learningRate, rank: 8, refresh: 1_000_000 }));
  const scorer = new Scorer(model, 1024);
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
    optimizer.update({ step, learningRate, projectedGradients: optimizer.measure(losses).projectedGradients });
    if (step >= warmUp) times.push(submitted - started + performance.now() - read);
    gpu.recorder.submit();
    await gpu.idle();
    dispatches = gpu.recorder.dispatches - before;
  }
  scorer.destroy();
  optimizer.destroy();
  model.destroy();
  return {
    layers,
    width,
    leastMilliseconds: Math.min(...times),
    medianMilliseconds: median(times),
    dispatches,
  };
}
