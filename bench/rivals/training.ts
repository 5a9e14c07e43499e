/**
 * Our SubZero step beside the same step in PyTorch's eager loop on the processor, in turns, on the same rows of the
 * same model.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TokenizedExample } from '../../src/data/example.ts';
import { spread } from '../../src/experiments/statistics.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { batchLoss } from '../../src/objectives/loss.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import { markdownTable } from '../../src/table.ts';
import { loadTokenizer, type Tokenizer } from '../../src/tokenizer/index.ts';
import { passShape, Scorer } from '../../src/train/score.ts';
import { SubZero } from '../../src/zo/subzero.ts';
import type { deviceOf } from '../device.ts';
import { machine } from '../machine.ts';
import { missingPyTorch, PyTorch, type StepTime } from './pytorch.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** ε is the official default; η is small, so that timed steps leave the weights about as they are. */
const epsilon = 1e-3;
const learningRate = Math.fround(1e-9);

/** The same loss in f32 by other orders of addition differs by far less. */
const largestDifference = 1e-4;

export interface TrainingOptions {
  /** A model directory. */
  model: string;
  batchSize: number;
  rank: number;
  /** Timed steps of each. */
  repeat: number;
  device: ReturnType<typeof deviceOf>;
}

/** Measures, and prints a table. @returns the figures; undefined where Python or its packages are missing */
export async function compareTraining(command: string, options: TrainingOptions): Promise<object | undefined> {
  const { batchSize, rank, repeat } = options;
  const python = process.env.PYTHON || 'python3';
  const missing = missingPyTorch(python);
  if (missing !== undefined) {
    console.error(missing);
    return undefined;
  }

  const batch = readBatch(await loadTokenizer(options.model), batchSize);
  const ours = await openOurs(options.model, batch, { rank, batchSize, ...options.device });
  const { pytorch, start } = await PyTorch.start(python, {
    model: options.model,
    rows: batch.map(({ prompt, options, label }) => ({ prompt, options, label })),
    ...{ rank, epsilon, learningRate, threads: availableParallelism() },
  });
  const difference = Math.abs(start.loss - ours.loss);
  if (!(difference <= largestDifference)) {
    throw new Error(`the losses of the same rows differ by ${difference}: ours ${ours.loss}, PyTorch's ${start.loss}`);
  }

  const steps: { ours: StepTime; theirs: StepTime }[] = [];
  // The first steps compile kernels and fill caches.
  for (let round = -2; round < repeat; round++) {
    const pair = { ours: await ours.step(), theirs: await pytorch.step() };
    if (round >= 0) steps.push(pair);
  }
  pytorch.close();
  ours.close();

  const tokens = batch.reduce((sum, { prompt }) => sum + prompt.length, 0);
  const longest = Math.max(...batch.map(({ prompt }) => prompt.length));
  const report = {
    command,
    machine: machine(ours.adapter),
    pytorch: { ...start, paddedTokens: longest * batchSize },
    ...{ tokens, rank, repeat, lossDifference: difference, steps },
  };
  console.log(
    `\`${command}\`: a SubZero step, ${batchSize} sentences of ${tokens} tokens in all (PyTorch: padded to ` +
      `${longest * batchSize}), rank ${rank}, f32, ${repeat} steps of each in turns; ${report.machine}; PyTorch ` +
      `${start.torch} with ${start.threads} threads on the processor, transformers ${start.transformers}. The losses ` +
      `before any step differ by ${difference.toExponential(1)}.\n`,
  );
  const row = (title: string, of: (time: StepTime) => number): string[] => {
    const milliseconds = (side: 'ours' | 'theirs') => spread(steps.map((pair) => 1000 * of(pair[side])));
    const ratios = steps.map((pair) => of(pair.theirs) / of(pair.ours));
    return [title, milliseconds('ours'), milliseconds('theirs'), spread(ratios, 2)];
  };
  // Processor time is that of the work only where the processors are the adapter.
  const rows = [row('by the clock, ms', ({ seconds }) => seconds)];
  if (ours.software) rows.push(row('processor time, ms', ({ processorSeconds }) => processorSeconds));
  console.log(markdownTable(['median (least–most)', 'ours', 'PyTorch', 'PyTorch / ours'], rows));
  return report;
}

interface Row {
  prompt: number[];
  /** The ids of the options, of one token each. */
  options: number[];
  label: number;
}

/** Sentences of the example data as the demo asks about them. */
function readBatch(tokenizer: Tokenizer, count: number): Row[] {
  const lines = readFileSync(join(root, 'examples', 'sst2', 'train.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const options = [' terrible', ' great'].map((option) => tokenizer.encode(option, { addSpecialTokens: false })[0]!);
  return lines.slice(0, count).map((line) => {
    const { sentence, label } = JSON.parse(line) as { sentence: string; label: number };
    return { prompt: tokenizer.encode(`${sentence.trim()} It was`), options, label };
  });
}

/** Our side: the model in f32, and a step that ends when its update has been made. */
async function openOurs(
  directory: string,
  rows: readonly Row[],
  { rank, batchSize, ...device }: { rank: number; batchSize: number } & ReturnType<typeof deviceOf>,
) {
  const gpu = await Gpu.open(device);
  const model = await loadModel(gpu, directory, { storage: 'f32' });
  const batch = rows.map(
    ({ prompt, options, label }): TokenizedExample => ({
      ...{ kind: 'options', prompt, label },
      continuations: options.map((id) => ({ ids: [id], scored: 1 })),
    }),
  );
  const count = rows.reduce((sum, { prompt }) => sum + prompt.length, 0);
  const scorer = new Scorer(model, Math.max(8192, 2 * count));
  scorer.reserve(2 * count, passShape(batch));
  const configuration = resolveConfiguration({ epsilon, learningRate, batchSize, rank, refresh: 1_000_000 });
  const optimizer = new SubZero(model, configuration);
  const { loss } = batchLoss(batch, (await scorer.score(batch, model.plainProbes))[0]!);
  optimizer.beginStep(0);
  let step = 0;
  return {
    loss,
    adapter: gpu.adapter.description || gpu.adapter.device,
    software: gpu.adapter.software,
    async step(): Promise<StepTime> {
      const started = performance.now();
      const before = process.cpuUsage();
      const scores = await scorer.score(batch, optimizer.perturb(step));
      const { projectedGradients } = optimizer.measure(
        scores.map((each) => batchLoss(batch, each).loss),
        step,
      );
      optimizer.update({ step: step++, learningRate, projectedGradients });
      gpu.recorder.submit();
      await gpu.idle();
      const { user, system } = process.cpuUsage(before);
      return { seconds: (performance.now() - started) / 1000, processorSeconds: (user + system) / 1e6 };
    },
    close: () => gpu.close(),
  };
}
