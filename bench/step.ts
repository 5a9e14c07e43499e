/**
 * `bench step`: a SubZero step against the two plain forward passes that it needs, on a model of a named shape with random weights.
 *
 * @module
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { TokenizedExample } from '../src/data/example.ts';
import { SubzeroError } from '../src/errors.ts';
import { formatBytes } from '../src/format.ts';
import { Gpu } from '../src/gpu/gpu.ts';
import { chromeTrace, Profiler, summarise } from '../src/gpu/profiler.ts';
import { Model } from '../src/model/model.ts';
import { resolveConfiguration } from '../src/train/configuration.ts';
import { passShape, Scorer } from '../src/train/score.ts';
import { SubZero } from '../src/zo/subzero.ts';
import { modelShapes } from './shapes.ts';
import { table } from './table.ts';

export const usage = `node bench/main.ts step [options]
  --shape NAME         ${Object.keys(modelShapes).join(', ')} (default opt-1024x4)
  --layers N           fewer layers than the shape has
  --storage TYPE       f32, f16, bf16 (default f32 on a software adapter, f16 otherwise)
  --batch-size B       sequences (default 16)
  --tokens T           tokens per sequence (default 32)
  --rank R             default 64
  --repeat N           timed repetitions (default 5)
  --adapter NAME       part of the adapter's name, or its index
  --trace FILE         write a Chrome trace of one step's kernels
  --json FILE          write the figures`;

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

export async function benchStep(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      shape: { type: 'string', default: 'opt-1024x4' },
      layers: { type: 'string' },
      storage: { type: 'string' },
      'batch-size': { type: 'string', default: '16' },
      tokens: { type: 'string', default: '32' },
      rank: { type: 'string', default: '64' },
      repeat: { type: 'string', default: '5' },
      adapter: { type: 'string' },
      trace: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const shape = modelShapes[values.shape];
  if (!shape) {
    throw new SubzeroError(
      'invalid_argument',
      `--shape ${values.shape} is not one of ${Object.keys(modelShapes).join(', ')}`,
    );
  }
  const [batchSize, tokens, rank, repeat] = [values['batch-size'], values.tokens, values.rank, values.repeat].map(
    Number,
  );
  const gpu = await Gpu.open(values.adapter === undefined ? {} : { adapter: values.adapter });
  const storage = (values.storage ?? (gpu.adapter.software ? 'f32' : 'f16')) as 'f32' | 'f16' | 'bf16';
  const config = { ...shape, ...(values.layers ? { num_hidden_layers: Number(values.layers) } : {}) };
  const model = await Model.random(gpu, config, storage);
  const batch = randomBatch(batchSize!, tokens!, model.configuration.vocabularySize);
  const rows = batchSize! * tokens!;

  // Inference of the same rows first, so that its peak is known before the factors exist.
  const plain = new Scorer(model, Math.max(8192, 2 * rows));
  const doubled = [...batch, ...batch];
  plain.reserve(2 * rows, passShape(batch));
  gpu.memory.resetPeak();
  await plain.score(doubled, model.plainProbes);
  const inferencePeak = gpu.memory.report().peakBytes;
  plain.destroy();

  const configuration = resolveConfiguration({
    rank: rank!,
    refresh: 1_000_000,
    batchSize: batchSize!,
    learningRate: 1e-7,
  });
  const optimizer = new SubZero(model, configuration);
  const scorer = new Scorer(model, Math.max(8192, 2 * rows));
  scorer.reserve(2 * rows, passShape(batch));
  optimizer.beginStep(0);
  gpu.memory.resetPeak();
  const timings = { forwards: [] as number[], step: [] as number[], host: [] as number[] };
  let dispatches = 0;
  for (let repetition = -1; repetition < repeat!; repetition++) {
    const before = performance.now();
    await scorer.score(batch, model.plainProbes);
    await scorer.score(batch, model.plainProbes);
    const between = performance.now();
    const recorded = gpu.recorder.dispatches;
    const scoring = scorer.score(batch, optimizer.perturb(repetition + 1));
    // Recording is synchronous up to the readback: what has passed now is the host's share.
    const host = performance.now() - between;
    await scoring;
    optimizer.update({ step: repetition + 1, learningRate: Math.fround(1e-7), projectedGradients: [1] });
    await gpu.idle();
    const after = performance.now();
    dispatches = gpu.recorder.dispatches - recorded;
    if (repetition < 0) continue; // compiles kernels and allocates
    timings.forwards.push(between - before);
    timings.step.push(after - between);
    timings.host.push(host);
  }
  const trainingPeak = gpu.memory.report().peakBytes;

  const result = {
    adapter: gpu.adapter.description || gpu.adapter.device,
    shape: values.shape,
    layers: model.configuration.layerCount,
    parameters: model.parameterCount,
    storage,
    rows,
    rank,
    twoForwardsMilliseconds: median(timings.forwards),
    stepMilliseconds: median(timings.step),
    ratio: median(timings.step.map((value, index) => value / timings.forwards[index]!)),
    hostMilliseconds: median(timings.host),
    dispatches,
    inferencePeakBytes: inferencePeak,
    trainingPeakBytes: trainingPeak,
    factorBytes: optimizer.factorBytes,
  };
  const beyond = trainingPeak - optimizer.factorBytes - inferencePeak;
  console.log(
    `${result.adapter}\n${values.shape}, ${result.layers} layers, ${(result.parameters / 1e6).toFixed(1)} M parameters in ${storage}`,
  );
  console.log(
    table(
      ['figure', 'value'],
      [
        ['rows per probe', `${rows} (${batchSize} × ${tokens})`],
        ['two plain forward passes', `${result.twoForwardsMilliseconds.toFixed(1)} ms`],
        [`SubZero step, rank ${rank}`, `${result.stepMilliseconds.toFixed(1)} ms`],
        ['step / two forwards', result.ratio.toFixed(3)],
        ['host time of a step', `${result.hostMilliseconds.toFixed(2)} ms for ${dispatches} dispatches`],
        ['peak bytes, inference of the same rows', formatBytes(inferencePeak)],
        ['peak bytes, training', formatBytes(trainingPeak)],
        ['  of which U, V and state', formatBytes(optimizer.factorBytes)],
        ['  beyond that', `${((100 * beyond) / inferencePeak).toFixed(2)} % of inference`],
      ],
    ),
  );
  if (gpu.features.has('timestamp-query')) {
    gpu.recorder.profiler = new Profiler(gpu);
    await scorer.score(batch, optimizer.perturb(0));
    const timed = await gpu.recorder.profiler.collect();
    gpu.recorder.profiler = undefined;
    const total = timed.reduce((sum, { start, end }) => sum + (end - start) / 1e6, 0);
    const kernels = summarise(timed).slice(0, 8);
    console.log(
      `\n${table(
        ['kernel', 'launches', 'ms', 'share'],
        kernels.map(({ label, count, milliseconds }) => [
          label,
          String(count),
          milliseconds.toFixed(1),
          `${((100 * milliseconds) / total).toFixed(1)} %`,
        ]),
      )}`,
    );
    if (values.trace) writeFileSync(values.trace, chromeTrace(timed));
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  gpu.close();
  return 0;
}

/** Sequences of random tokens, each with two options of one token, as in SST-2. */
function randomBatch(count: number, length: number, vocabulary: number): TokenizedExample[] {
  return Array.from({ length: count }, (_, index) => ({
    kind: 'options',
    prompt: Array.from({ length }, (_, position) => (index * 7919 + position * 104_729 + 11) % vocabulary),
    continuations: [
      { ids: [5], scored: 1 },
      { ids: [7], scored: 1 },
    ],
    label: index % 2,
  }));
}
