/**
 * `bench bank`: training steps of one model, its weights stored in several types, with the change folded or in banks of
 * several ranks beside them, in turns.
 *
 * @module
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SubzeroError } from '../src/errors.ts';
import { median, spread } from '../src/experiments/statistics.ts';
import { Gpu } from '../src/gpu/gpu.ts';
import { Profiler, summarise } from '../src/gpu/profiler.ts';
import type { Model } from '../src/model/model.ts';
import { randomModel } from '../src/model/random-model.ts';
import { batchLoss } from '../src/objectives/loss.ts';
import { resolveConfiguration } from '../src/settings/configuration.ts';
import { markdownTable } from '../src/table.ts';
import { passShape, Scorer } from '../src/train/score.ts';
import type { PackableStorage } from '../src/weights/index.ts';
import { SubZero } from '../src/zo/subzero.ts';
import { deviceOf } from './device.ts';
import { machine } from './machine.ts';
import { randomBatch } from './random-batch.ts';
import { modelShapes } from './shapes.ts';

export const usage = `npm run bench -- bank [options]
  --cases LIST         TYPE[:RANK] with commas between: how the weights are stored, and the rank of the bank beside
                       them; without a rank the change is folded (default f16,q8:4,q8:64,q8:128,q4:64)
  --shape NAME         ${Object.keys(modelShapes).join(', ')} (default opt-1.3b)
  --layers N           default 1
  --config JSON        keys of config.json in the place of the shape's
  --batch-size B       sequences (default 8)
  --tokens T           tokens per sequence (default 32)
  --rank R             of a period (default 24)
  --repeat N           timed repetitions (default 7)
  --adapter NAME       part of the adapter's name, or its index
  --profile            print the kernels of a step of each case
  --json FILE          write the figures
all are compared with the first case`;

interface Contestant {
  name: string;
  step(step: number): Promise<void>;
}

export async function benchBank(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      cases: { type: 'string', default: 'f16,q8:4,q8:64,q8:128,q4:64' },
      shape: { type: 'string', default: 'opt-1.3b' },
      layers: { type: 'string', default: '1' },
      config: { type: 'string', default: '{}' },
      'batch-size': { type: 'string', default: '8' },
      tokens: { type: 'string', default: '32' },
      rank: { type: 'string', default: '24' },
      repeat: { type: 'string', default: '7' },
      adapter: { type: 'string' },
      profile: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  });
  const shape = modelShapes[values.shape];
  if (!shape) {
    const names = Object.keys(modelShapes).join(', ');
    throw new SubzeroError('invalid_argument', `--shape ${values.shape} is not one of ${names}`);
  }
  const config = { ...shape, num_hidden_layers: Number(values.layers), ...JSON.parse(values.config) };
  const [batchSize, tokens, rank, repeat] = [values['batch-size'], values.tokens, values.rank, values.repeat].map(
    Number,
  ) as [number, number, number, number];
  const gpu = await Gpu.open(deviceOf(values));
  const models = new Map<string, Model>();
  const contestants: Contestant[] = [];
  for (const name of values.cases.split(',')) {
    const [storage, bankRank] = name.split(':') as [PackableStorage, string?];
    const model = models.get(storage) ?? (await randomModel(gpu, config, storage));
    models.set(storage, model);
    contestants.push({ name, step: contestant(gpu, model, { batchSize, tokens, rank, bankRank }) });
  }
  const processor = new Map(contestants.map(({ name }) => [name, [] as number[]]));
  // The first round compiles kernels and allocates.
  for (let round = -1; round < repeat; round++) {
    for (const { name, step } of contestants) {
      const before = process.cpuUsage();
      await step(round + 1);
      const { user, system } = process.cpuUsage(before);
      if (round >= 0) processor.get(name)!.push((user + system) / 1000);
    }
  }
  const first = processor.get(contestants[0]!.name)!;
  const rows = contestants.map(({ name }) => {
    const times = processor.get(name)!;
    return {
      name,
      milliseconds: times,
      least: Math.min(...times) / Math.min(...first),
      ratio: median(times.map((time, round) => time / first[round]!)),
    };
  });
  console.log(`${machine(gpu.adapter.description || gpu.adapter.device)}\n${values.shape}, ${values.layers} layers,`);
  console.log(`2 probes × ${batchSize} × ${tokens} tokens, rank ${rank}; processor time\n`);
  console.log(
    markdownTable(
      ['case', 'ms, median (range)', `of ${contestants[0]!.name}, median`, 'of the least'],
      rows.map(({ name, milliseconds, least, ratio }) => [
        name,
        spread(milliseconds),
        ratio.toFixed(3),
        least.toFixed(3),
      ]),
    ),
  );
  if (values.profile) for (const { name, step } of contestants) console.log(`\n${name}\n${await profile(gpu, step)}`);
  if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  gpu.close();
  return 0;
}

/** η is small, so that timed steps leave the weights about as they are. */
const learningRate = Math.fround(1e-9);

function contestant(
  gpu: Gpu,
  model: Model,
  {
    batchSize,
    tokens,
    rank,
    bankRank,
  }: { batchSize: number; tokens: number; rank: number; bankRank?: string | undefined },
): Contestant['step'] {
  const change = bankRank === undefined ? {} : { change: 'bank' as const, bankRank: Number(bankRank) };
  const settings = { epsilon: 1e-3, learningRate, batchSize, rank, refresh: 1_000_000, ...change };
  const optimizer = new SubZero(model, resolveConfiguration(settings));
  const batch = randomBatch(batchSize, tokens, model.decoder.vocabularySize);
  const rows = 2 * batchSize * tokens;
  const scorer = new Scorer(model, Math.max(8192, rows));
  scorer.reserve(rows, passShape(batch));
  optimizer.beginStep(0);
  return async (step) => {
    const scores = await scorer.score(batch, optimizer.perturb(step));
    const { projectedGradients } = optimizer.measure(
      scores.map((each) => batchLoss(batch, each).loss),
      step,
    );
    optimizer.update({ step, learningRate, projectedGradients });
    // What is only recorded would count in the time of the next case.
    gpu.recorder.submit();
    await gpu.idle();
  };
}

/** The kernels that take most of a step, by the clock. */
async function profile(gpu: Gpu, step: Contestant['step']): Promise<string> {
  const profiler = new Profiler(gpu);
  gpu.recorder.profiler = profiler;
  await step(1_000);
  const timed = summarise(await profiler.collect());
  gpu.recorder.profiler = undefined;
  profiler.destroy();
  return markdownTable(
    ['kernel', 'launches', 'ms'],
    timed.slice(0, 12).map(({ label, count, milliseconds }) => [label, String(count), milliseconds.toFixed(1)]),
  );
}
