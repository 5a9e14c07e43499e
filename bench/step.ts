/**
 * `bench step`: a SubZero step against the two plain forward passes that it needs, and against a step of MeZO, ours and
 * the usual one that moves the weights in place; on a model of a named shape with random weights, or on any model.
 *
 * @module
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SubzeroError } from '../src/errors.ts';
import { median } from '../src/experiments/statistics.ts';
import { formatBytes } from '../src/format.ts';
import { Gpu } from '../src/gpu/gpu.ts';
import { chromeTrace } from '../src/gpu/profiler.ts';
import { loadModel } from '../src/model/load.ts';
import { randomModel } from '../src/model/random-model.ts';
import { batchLoss } from '../src/objectives/loss.ts';
import type { Probes } from '../src/ops/probes.ts';
import { resolveConfiguration } from '../src/settings/configuration.ts';
import { table } from '../src/table.ts';
import { passShape, Scorer } from '../src/train/score.ts';
import type { PackableStorage } from '../src/weights/index.ts';
import { createOptimizer } from '../src/zo/create-optimizer.ts';
import type { ZerothOrderOptimizer } from '../src/zo/optimizer.ts';
import { SubZero } from '../src/zo/subzero.ts';
import { deviceOf } from './device.ts';
import { type Milliseconds, measureHostTime } from './host-time.ts';
import { kernelTable, profile } from './profile.ts';
import { randomBatch } from './random-batch.ts';
import { InPlaceMezo } from './rivals/in-place-mezo.ts';
import { modelShapes } from './shapes.ts';

export const usage = `npm run bench -- step [options]
  --shape NAME         ${Object.keys(modelShapes).join(', ')} (default opt-1024x4)
  --layers N           fewer layers than the shape has
  --model DIRECTORY    this model instead of a shape
  --storage TYPE       f32, f16, bf16, q8, q4 (default f32 on a software adapter, f16 otherwise)
  --batch-size B       sequences (default 16)
  --tokens T           tokens per sequence (default 32)
  --rank R             default 64
  --repeat N           timed repetitions (default 5)
  --adapter NAME       part of the adapter's name, or its index
  --arithmetic KIND    of matrix units: exact (default) or half
  --trace FILE         write a Chrome trace of one step's kernels
  --json FILE          write the figures`;

/** ε of all methods, the official default; η is small, so that timed steps leave the weights about as they are. */
const epsilon = 1e-3;
const learningRate = Math.fround(1e-9);

export async function benchStep(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      shape: { type: 'string', default: 'opt-1024x4' },
      layers: { type: 'string' },
      model: { type: 'string' },
      storage: { type: 'string' },
      'batch-size': { type: 'string', default: '16' },
      tokens: { type: 'string', default: '32' },
      rank: { type: 'string', default: '64' },
      repeat: { type: 'string', default: '5' },
      adapter: { type: 'string' },
      arithmetic: { type: 'string' },
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
  const gpu = await Gpu.open(deviceOf(values));
  const host = await measureHostTime(gpu, (vocabulary) => randomBatch(1, 8, vocabulary));
  const storage = (values.storage ?? (gpu.adapter.software ? 'f32' : 'f16')) as PackableStorage;
  const config = { ...shape, ...(values.layers ? { num_hidden_layers: Number(values.layers) } : {}) };
  const model =
    values.model === undefined
      ? await randomModel(gpu, config, storage)
      : await loadModel(gpu, values.model, { storage });
  const batch = randomBatch(batchSize!, tokens!, model.decoder.vocabularySize);
  const rows = batchSize! * tokens!;

  // Inference of the same rows first, so that its peak is known before the factors exist.
  const plain = new Scorer(model, Math.max(8192, 2 * rows));
  const doubled = [...batch, ...batch];
  plain.reserve(2 * rows, passShape(batch));
  gpu.memory.resetPeak();
  await plain.score(doubled, model.plainProbes);
  const inferencePeak = gpu.memory.report().peakBytes;
  plain.destroy();

  const settings = { epsilon, learningRate, batchSize: batchSize! };
  const optimizer = new SubZero(model, resolveConfiguration({ ...settings, rank: rank!, refresh: 1_000_000 }));
  const scorer = new Scorer(model, Math.max(8192, 2 * rows));
  scorer.reserve(2 * rows, passShape(batch));
  optimizer.beginStep(0);
  gpu.memory.resetPeak();
  let dispatches = 0;
  let hostMilliseconds: number[] = [];
  const stepOf = async (method: ZerothOrderOptimizer, step: number): Promise<number> => {
    const started = performance.now();
    const recorded = gpu.recorder.dispatches;
    const scoring = scorer.score(batch, method.perturb(step));
    // Recording is synchronous up to the readback: what has passed now is the host's share.
    if (method === optimizer) hostMilliseconds.push(performance.now() - started);
    const { projectedGradients } = method.measure(
      (await scoring).map((scores) => batchLoss(batch, scores).loss),
      step,
    );
    method.update({ step, learningRate, projectedGradients });
    // What is only recorded would count in the time of the next method.
    gpu.recorder.submit();
    await gpu.idle();
    if (method === optimizer) dispatches = gpu.recorder.dispatches - recorded;
    return projectedGradients[0]!;
  };
  // Compiles kernels and allocates.
  await stepOf(optimizer, 0);
  const trainingPeak = gpu.memory.report().peakBytes;

  const mezo = await createOptimizer(model, resolveConfiguration({ ...settings, optimizer: 'mezo' }));
  const inPlace = new InPlaceMezo(model, { seed: 0, epsilon });
  const lossOf = async (probes: Probes): Promise<number> =>
    batchLoss(batch, (await scorer.score(batch, probes))[0]!).loss;
  const inPlaceStep = async (step: number): Promise<number> => {
    const rho = await inPlace.step(step, learningRate, lossOf);
    await gpu.idle();
    return rho;
  };
  const difference = await compareRhos((step) => stepOf(mezo, step), inPlaceStep);
  if (!(difference <= (storage === 'f32' ? 0.01 : 0.2))) {
    throw new Error(`MeZO in place measures another ρ than ours: they differ by ${difference} of their size`);
  }

  const contestants = {
    forwards: async () => {
      await lossOf(model.plainProbes);
      await lossOf(model.plainProbes);
    },
    subzero: (step: number) => stepOf(optimizer, step),
    mezo: (step: number) => stepOf(mezo, step),
    inPlaceMezo: inPlaceStep,
  };
  hostMilliseconds = [];
  const { wall: times, processor } = await interleaved(contestants, repeat!);
  const milliseconds = mapValues(times, median);
  const ratioOf = (name: keyof typeof times, of = times): number =>
    median(of[name].map((value, index) => value / of.subzero[index]!));

  const result = {
    adapter: gpu.adapter.description || gpu.adapter.device,
    shape: values.model ?? values.shape,
    layers: model.decoder.blocks.length,
    parameters: model.parameterCount,
    storage,
    rows,
    rank,
    twoForwardsMilliseconds: milliseconds.forwards,
    stepMilliseconds: milliseconds.subzero,
    ratio: median(times.subzero.map((value, index) => value / times.forwards[index]!)),
    mezoMilliseconds: milliseconds.mezo,
    inPlaceMezoMilliseconds: milliseconds.inPlaceMezo,
    mezoRatio: ratioOf('mezo'),
    inPlaceMezoRatio: ratioOf('inPlaceMezo'),
    // A software adapter works in this process: other programs on the machine do not count in its time.
    ...(gpu.adapter.software
      ? {
          processorMilliseconds: mapValues(processor, median),
          inPlaceMezoProcessorRatio: ratioOf('inPlaceMezo', processor),
          processorRatio: 1 / ratioOf('forwards', processor),
        }
      : {}),
    rhoDifference: difference,
    hostMilliseconds: median(hostMilliseconds),
    dispatches,
    host,
    inferencePeakBytes: inferencePeak,
    trainingPeakBytes: trainingPeak,
    factorBytes: optimizer.factorBytes,
  };
  const beyond = trainingPeak - optimizer.factorBytes - inferencePeak;
  console.log(
    `${result.adapter}\n${result.shape}, ${result.layers} layers, ${(result.parameters / 1e6).toFixed(1)} M ` +
      `parameters in ${storage}`,
  );
  console.log(
    table(
      ['figure', 'value'],
      [
        ['rows per probe', `${rows} (${batchSize} × ${tokens})`],
        ['two plain forward passes', `${result.twoForwardsMilliseconds.toFixed(1)} ms`],
        [`SubZero step, rank ${rank}`, `${result.stepMilliseconds.toFixed(1)} ms`],
        ['step / two forwards', result.ratio.toFixed(3)],
        ['our MeZO step', `${result.mezoMilliseconds.toFixed(1)} ms`],
        ['our MeZO / SubZero', result.mezoRatio.toFixed(3)],
        ['MeZO step in place', `${result.inPlaceMezoMilliseconds.toFixed(1)} ms`],
        ['MeZO in place / SubZero', result.inPlaceMezoRatio.toFixed(3)],
        ...processorRows(result.processorMilliseconds),
        ['ρ of MeZO in place against ours', `${difference.toExponential(1)} of its size`],
        ['host time of a step', `${result.hostMilliseconds.toFixed(2)} ms for ${dispatches} dispatches`],
        [
          `  at ${host.layers} layers of width ${host.width}`,
          `${leastAndMedian(host.total)}, ${host.dispatches} dispatches`,
        ],
        ['  until the GPU has work again', leastAndMedian(host.exposed.first)],
        ['  until it has all of the next step', leastAndMedian(host.exposed.last)],
        ['  the same, recorded only then', leastAndMedian(host.exposed.after)],
        ['peak bytes, inference of the same rows', formatBytes(inferencePeak)],
        ['peak bytes, training', formatBytes(trainingPeak)],
        ['  of which U, V and state', formatBytes(optimizer.factorBytes)],
        ['  beyond that', `${((100 * beyond) / inferencePeak).toFixed(2)} % of inference`],
      ],
    ),
  );
  if (gpu.features.has('timestamp-query')) {
    for (const [title, body] of [
      ['SubZero', contestants.subzero],
      ['MeZO in place', contestants.inPlaceMezo],
    ] as const) {
      const timed = await profile(gpu, () => body(0));
      console.log(`\n${title}\n${kernelTable(timed)}`);
      if (values.trace && title === 'SubZero') writeFileSync(values.trace, chromeTrace(timed));
    }
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  gpu.close();
  return 0;
}

function leastAndMedian({ least, median: middle }: Milliseconds): string {
  return `${least.toFixed(2)} ms at least, ${middle.toFixed(2)} ms in the middle`;
}

/** What the processors took, where they are the adapter. */
function processorRows(
  of: Record<'forwards' | 'subzero' | 'mezo' | 'inPlaceMezo', number> | undefined,
): [string, string][] {
  if (!of) return [];
  const { forwards, subzero, mezo, inPlaceMezo } = of;
  return [
    ['processor time: forwards, SubZero', `${forwards.toFixed(0)}, ${subzero.toFixed(0)} ms`],
    ['  our MeZO, MeZO in place', `${mezo.toFixed(0)}, ${inPlaceMezo.toFixed(0)} ms`],
    ['  MeZO in place / SubZero', (inPlaceMezo / subzero).toFixed(3)],
  ];
}

/** ρ of two methods over a few steps: the root mean square of their differences over that of the first. */
async function compareRhos(
  ours: (step: number) => Promise<number>,
  theirs: (step: number) => Promise<number>,
): Promise<number> {
  let [squares, differences] = [0, 0];
  for (let step = 0; step < 2; step++) {
    const [one, other] = [await ours(step), await theirs(step)];
    squares += one * one;
    differences += (one - other) ** 2;
  }
  return Math.sqrt(differences / squares);
}

/** Milliseconds of each body by the clock and of the processors, run in turns. */
async function interleaved<Name extends string>(
  bodies: Readonly<Record<Name, (step: number) => Promise<unknown>>>,
  repeat: number,
): Promise<{ wall: Record<Name, number[]>; processor: Record<Name, number[]> }> {
  const names = Object.keys(bodies) as Name[];
  const empty = () => Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  const [wall, processor] = [empty(), empty()];
  for (let step = 1; step <= repeat; step++) {
    for (const name of names) {
      const started = performance.now();
      const before = process.cpuUsage();
      await bodies[name](step);
      const { user, system } = process.cpuUsage(before);
      wall[name].push(performance.now() - started);
      processor[name].push((user + system) / 1000);
    }
  }
  return { wall, processor };
}

function mapValues<Name extends string, From, To>(
  record: Readonly<Record<Name, From>>,
  map: (value: From) => To,
): Record<Name, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value as From)])) as Record<
    Name,
    To
  >;
}
